//! A folder for network boot, as `image-builder netboot` makes it and `ezio-pxe` serves it: the names of its files,
//! and `netboot.toml`, which describes it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Arch;

/// Kernel.
pub const KERNEL: &str = "vmlinuz";
/// Initrd with init in it.
pub const INITRD: &str = "initrd.img";
/// A second initrd: drivers of network cards that are in servers. All machines but those that say that they are PCs
/// load it behind the first.
pub const SERVER_CARDS: &str = "server-cards.img";
/// iPXE for a BIOS without it.
pub const UNDIONLY: &str = "undionly.kpxe";
/// The description of the folder.
pub const DESCRIPTION: &str = "netboot.toml";

/// First stage of UEFI's signed chain.
#[must_use]
pub const fn shim(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "shimx64.efi",
        Arch::Arm64 => "shimaa64.efi",
    }
}

/// Second stage: the signed network build of GRUB, under the name that shim asks for.
#[must_use]
pub const fn grub(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "grubx64.efi",
        Arch::Arm64 => "grubaa64.efi",
    }
}

/// Newest version of the description; older ones are read too.
const FORMAT: u32 = 1;

/// What a folder holds. No times and no paths: the same inputs give the same description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Version of the format.
    format: u32,
    /// Program and version that wrote it.
    pub builder: String,
    /// Architecture of the machines that it starts. Folders made before there was ARM64 do not say it.
    #[serde(default = "amd64")]
    pub arch: Arch,
    /// Version of the kernel, as `uname -r` prints it.
    pub kernel: String,
    /// Names of the modules that the kernel may load.
    pub modules: Vec<String>,
    /// Its files, but for the description.
    #[serde(rename = "file")]
    pub files: Vec<File>,
}

/// A file of the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 in hex.
    pub sha256: String,
}

/// Why a description is refused.
#[derive(Debug, Error)]
pub enum DescriptionError {
    /// Not TOML, or not with the keys of a description.
    #[error("{DESCRIPTION} describes no folder for network boot")]
    Syntax(#[source] Box<toml::de::Error>),
    /// Written by a later version.
    #[error("{DESCRIPTION} has format {0}; this program knows formats up to {FORMAT}")]
    Format(u32),
}

fn amd64() -> Arch {
    Arch::Amd64
}

impl Description {
    /// Describes a folder.
    #[must_use]
    pub fn new(builder: &str, arch: Arch, kernel: &str, modules: Vec<String>, files: Vec<File>) -> Self {
        Self { format: FORMAT, builder: builder.to_owned(), arch, kernel: kernel.to_owned(), modules, files }
    }

    /// Reads `netboot.toml`.
    ///
    /// # Errors
    /// It is no description, or one of a later version.
    pub fn parse(text: &str) -> Result<Self, DescriptionError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        // A later version may have other keys: its number comes before them.
        let syntax = |error| DescriptionError::Syntax(Box::new(error));
        match toml::from_str(text).map_err(syntax)? {
            Version { format } if format > FORMAT => Err(DescriptionError::Format(format)),
            _ => toml::from_str(text).map_err(syntax),
        }
    }

    /// As `netboot.toml`, which [`Description::parse`] reads as the same description.
    #[must_use]
    pub fn to_toml(&self) -> String {
        // Sizes are those of files, below 2^63: every field is text, a number or a list of these.
        toml::to_string(self).expect("a description consists of what TOML can say")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Description {
        let file = File { name: KERNEL.into(), size: 11_600_000, sha256: "ab".repeat(32) };
        Description::new("image-builder 1.2.3", Arch::Arm64, "6.12.1-arm64", vec!["nvme".into()], vec![file])
    }

    /// Both ways against the text: whoever changes the format sees it here.
    #[test]
    fn a_description_is_this_text() {
        let text = format!(
            "format = 1\nbuilder = \"image-builder 1.2.3\"\narch = \"arm64\"\nkernel = \"6.12.1-arm64\"\n\
             modules = [\"nvme\"]\n\n[[file]]\nname = \"vmlinuz\"\nsize = 11600000\nsha256 = \"{}\"\n",
            "ab".repeat(32)
        );
        assert_eq!(sample().to_toml(), text);
        assert_eq!(Description::parse(&text).unwrap(), sample());
        let before_arm64 = text.replace("arch = \"arm64\"\n", "");
        assert_eq!(Description::parse(&before_arm64).unwrap().arch, Arch::Amd64);
    }

    #[test]
    fn what_is_later_or_no_description_is_refused() {
        let later = Description::parse("format = 2\nfiles = {}\n").unwrap_err();
        assert_eq!(later.to_string(), "netboot.toml has format 2; this program knows formats up to 1");
        for text in ["", "format = 1\n", "format = \"x\"", "["] {
            assert!(matches!(Description::parse(text), Err(DescriptionError::Syntax(_))), "{text}");
        }
    }
}
