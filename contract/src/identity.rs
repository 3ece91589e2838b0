//! What the server tells one machine of its own: asked with [`IdentityRequest`] over `POST /api/identity`, answered with
//! an [`IdentityAnswer`]. Some of it is secret, so it is given to a run that is under way and to nobody else.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::MachineId;

/// A machine asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct IdentityRequest {
    /// Who asks.
    pub machine: MachineId,
    /// Its run, as in its reports: a random name that only the machine and the server know.
    pub run: String,
    /// The group that it was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// What is its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct IdentityAnswer {
    /// Host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// For an installed Windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<WindowsFiles>,
}

/// What an installed Windows is to find at its first start.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WindowsFiles {
    /// The answer file for Setup.
    pub unattend: String,
    /// An offline domain join, where the answer file names its file ([`JOIN_FILE`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<String>,
    /// Drivers for this model, and for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drivers: Vec<DriverFile>,
    /// What there is to say of them: there are none for this model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drivers_note: Option<String>,
}

/// A file of a driver. It is fetched in blocks (see [`crate::urls::driver_block`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DriverFile {
    /// Where it goes below [`DRIVERS`], parted by `/`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Its SHA-256 in hex.
    pub sha256: String,
}

/// Folder of Windows in which Setup looks for its answer file, and in which its other files are put.
pub const PANTHER: [&str; 2] = ["Windows", "Panther"];
/// Name of the answer file there.
pub const UNATTEND_FILE: &str = "unattend.xml";
/// Name of the file with the offline domain join there.
pub const JOIN_FILE: &str = "ezio-join.txt";

/// Folder of drivers, at the root of the file system that Windows is on.
pub const DRIVERS: &str = "Drivers";
/// Bytes of a driver's file that are fetched at a time; the last block has what is left.
pub const DRIVER_BLOCK: u64 = 1 << 20;

/// Passwords and domain joins do not get into logs.
impl fmt::Debug for WindowsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = self.join.as_ref().map(String::len);
        let (unattend, drivers) = (self.unattend.len(), self.drivers.len());
        write!(f, "WindowsFiles {{ unattend: {unattend} bytes, join: {join:?} bytes, drivers: {drivers} }}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_tells_no_secret() {
        let windows = WindowsFiles {
            unattend: "SECRET".into(),
            join: Some("SECRET".into()),
            ..WindowsFiles::default()
        };
        let answer = IdentityAnswer { hostname: Some("lab-1".into()), windows: Some(windows) };
        let printed = format!("{answer:?}");
        assert!(
            printed.contains("lab-1") && printed.contains("6 bytes") && !printed.contains("SECRET"),
            "{printed}"
        );
        let read: IdentityAnswer = serde_json::from_str(&serde_json::to_string(&answer).unwrap()).unwrap();
        assert_eq!(read, answer);
    }
}
