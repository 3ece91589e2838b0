//! What a disk says of its own health, as the machine's reports and the server's record have it.

use serde::{Deserialize, Serialize};

/// What a disk says of its own health. What its kind has no number for is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Health {
    /// Why it is failing, a sentence each; none: it is good.
    pub failing: Vec<String>,
    /// Hours that it was switched on, in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_on_hours: Option<u64>,
    /// How warm it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_celsius: Option<i32>,
    /// Share of the writes that its maker made it for; may be more than 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endurance_used_percent: Option<u8>,
    /// Share of its spare blocks that is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spare_percent: Option<u8>,
    /// What must be left of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spare_threshold_percent: Option<u8>,
    /// Times that it could not give back what was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_errors: Option<u64>,
    /// Sectors that it has replaced by spare ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reallocated_sectors: Option<u64>,
    /// Sectors that it could not read, and replaces when they are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_sectors: Option<u64>,
    /// Sectors that it found beyond repair when it looked at all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncorrectable_sectors: Option<u64>,
}

impl Health {
    /// Why it is failing, if it is.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        (!self.failing.is_empty()).then(|| self.failing.join("; "))
    }
}
