//! What a kernel module says of itself: the `.modinfo` section of its ELF file, which `depmod` reads too.

use anyhow::{Context, Result};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection};

/// The fields of a module that decide what is loaded, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ModInfo {
    /// Name, with `_` for `-`.
    pub(crate) name: String,
    /// Names of the modules whose symbols it uses.
    pub(crate) depends: Vec<String>,
    /// Names or aliases that it wants loaded before it.
    pub(crate) pre: Vec<String>,
    /// Names or aliases that it wants loaded after it.
    pub(crate) post: Vec<String>,
    /// Patterns of the devices it drives.
    pub(crate) aliases: Vec<String>,
    /// Firmware files it may ask for, relative to the firmware folder.
    pub(crate) firmware: Vec<String>,
}

/// The kernel writes `-` and `_` at will; a module's name has `_`.
pub(crate) fn canonical_name(name: &str) -> String {
    name.replace('-', "_")
}

impl ModInfo {
    /// Reads the fields of a module. `file_name` (without its suffix) names a module that does not
    /// name itself.
    pub(crate) fn read(elf: &[u8], file_name: &str) -> Result<Self> {
        let file = ElfFile64::<object::Endianness>::parse(elf).context("it is not an ELF file of 64 bits")?;
        let section = file.section_by_name(".modinfo").context("it has no .modinfo section")?;
        let data = section.data().context("its .modinfo section cannot be read")?;
        Ok(Self::parse(data, file_name))
    }

    /// Fields stand as `key=value`, each ended by a NUL.
    fn parse(section: &[u8], file_name: &str) -> Self {
        let mut info = Self { name: canonical_name(file_name), ..Self::default() };
        for field in section.split(|&b| b == 0) {
            let field = String::from_utf8_lossy(field);
            let Some((key, value)) = field.split_once('=') else { continue };
            match key {
                "name" => info.name = canonical_name(value),
                "depends" => {
                    info.depends = value.split(',').filter(|v| !v.is_empty()).map(canonical_name).collect();
                }
                "softdep" => info.add_soft_dependencies(value),
                "alias" => info.aliases.push(value.to_owned()),
                "firmware" => info.firmware.push(value.to_owned()),
                _ => {}
            }
        }
        info
    }

    /// `pre: a b post: c`, as in modprobe.d.
    fn add_soft_dependencies(&mut self, value: &str) {
        let mut list: Option<&mut Vec<String>> = None;
        for word in value.split_whitespace() {
            match word {
                "pre:" => list = Some(&mut self.pre),
                "post:" => list = Some(&mut self.post),
                // Later kinds ("weak:") do not matter to the order.
                _ if word.ends_with(':') => list = None,
                _ => {
                    if let Some(list) = list.as_mut() {
                        list.push(word.to_owned());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_fields_that_matter() {
        let section = b"license=GPL\0softdep=pre: realtek crc32c post: late\0depends=libphy,mdio-devres\0\
            alias=pci:v000010ECd00008168sv*sd*bc*sc*i*\0firmware=rtl_nic/rtl8168g-2.fw\0name=r8169\0\0";
        let info = ModInfo::parse(section, "file-name");
        assert_eq!(info.name, "r8169");
        assert_eq!(info.depends, ["libphy", "mdio_devres"]);
        assert_eq!(info.pre, ["realtek", "crc32c"]);
        assert_eq!(info.post, ["late"]);
        assert_eq!(info.aliases, ["pci:v000010ECd00008168sv*sd*bc*sc*i*"]);
        assert_eq!(info.firmware, ["rtl_nic/rtl8168g-2.fw"]);
    }

    #[test]
    fn a_module_without_a_name_is_named_by_its_file() {
        assert_eq!(ModInfo::parse(b"depends=\0", "usb-storage").name, "usb_storage");
    }

    #[test]
    fn refuses_what_is_no_module() {
        assert!(ModInfo::read(b"\x7fELF and nothing more", "x").is_err());
    }
}
