//! Who this machine is, and how it was booted, as the firmware tells through sysfs.

pub(crate) mod cmdline;
pub(crate) mod computer;
pub(crate) mod efi_variables;
pub(crate) mod ip_param;
pub(crate) mod pci;
pub(crate) mod steps;

use std::fs;
use std::path::{Path, PathBuf};

use ezio_contract::inventory::{InventoryCard, MAX_CARDS};
use ezio_contract::{FirmwareIdentity, Mac, MachineId};

/// Where the kernel shows what we need; the one place that names these paths.
#[derive(Debug, Clone)]
pub(crate) struct SystemPaths {
    pub(crate) sys: PathBuf,
    pub(crate) dev: PathBuf,
    pub(crate) proc: PathBuf,
}

impl SystemPaths {
    /// The paths below `root`: `/` on a real machine, another folder in tests.
    pub(crate) fn below(root: &Path) -> Self {
        Self { sys: root.join("sys"), dev: root.join("dev"), proc: root.join("proc") }
    }

    fn dmi(&self, field: &str) -> PathBuf {
        self.sys.join("class/dmi/id").join(field)
    }
}

/// Who this machine is. `boot_card` leads the others.
pub(crate) fn identity(paths: &SystemPaths, boot_card: Option<Mac>) -> MachineId {
    let read = |field: &str| Some(String::from_utf8_lossy(&fs::read(paths.dmi(field)).ok()?).into_owned());
    let said = FirmwareIdentity {
        uuid: read("product_uuid"),
        serial: read("product_serial"),
        product: read("product_name"),
        macs: boot_card.iter().map(Mac::to_string).chain(mac_addresses(paths)).collect(),
    };
    said.into()
}

/// MAC addresses of cards with hardware behind them, in order of their names.
fn mac_addresses(paths: &SystemPaths) -> Vec<String> {
    card_folders(paths).iter().filter_map(|card| fs::read_to_string(card.join("address")).ok()).collect()
}

/// The same cards with their links.
pub(crate) fn cards(paths: &SystemPaths) -> Vec<InventoryCard> {
    let card = |folder: &PathBuf| {
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let mac = read("address")?.trim().parse().ok()?;
        let link = read("carrier").is_some_and(|carrier| carrier.trim() == "1");
        // -1 where the driver does not know it; without a link some say 0, and some that of the last one.
        let speed = read("speed").and_then(|speed| speed.trim().parse().ok());
        Some(InventoryCard { mac, link, speed_mbps: speed.filter(|speed| link && *speed > 0) })
    };
    card_folders(paths).iter().filter_map(card).take(MAX_CARDS).collect()
}

fn card_folders(paths: &SystemPaths) -> Vec<PathBuf> {
    let mut cards: Vec<PathBuf> = match fs::read_dir(paths.sys.join("class/net")) {
        Ok(entries) => entries.flatten().map(|e| e.path()).filter(|p| p.join("device").exists()).collect(),
        Err(_) => Vec::new(),
    };
    cards.sort();
    cards
}

/// `efi_secure_boot_mode` in the zero page, as the kernel's EFI stub leaves it (3: enabled).
/// `Documentation/x86/zero-page.rst`; readable without efivarfs, which is a module.
const SECURE_BOOT_OFFSET: usize = 0x1ec;
const SECURE_BOOT_ENABLED: u8 = 3;

/// "uefi", "uefi+secureboot" or "bios".
pub(crate) fn firmware(paths: &SystemPaths) -> &'static str {
    if !efi_variables::is_uefi(paths) {
        return "bios";
    }
    let zero_page = fs::read(paths.sys.join("kernel/boot_params/data")).unwrap_or_default();
    match zero_page.get(SECURE_BOOT_OFFSET) {
        Some(&SECURE_BOOT_ENABLED) => "uefi+secureboot",
        _ => "uefi",
    }
}

/// A fresh random name for this run, in hex: the kernel's own.
pub(crate) fn run_id(paths: &SystemPaths) -> String {
    let fresh = fs::read_to_string(paths.proc.join("sys/kernel/random/uuid")).unwrap_or_default();
    let id = fresh.trim().replace('-', "");
    if id.is_empty() { format!("{:x}", std::process::id()) } else { id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_have_the_speed_of_their_link_if_they_have_one() {
        let files: [(&str, &[u8]); 12] = [
            ("sys/class/net/eth0/address", b"52:54:00:00:00:01\n"),
            ("sys/class/net/eth0/device/vendor", b""),
            ("sys/class/net/eth0/carrier", b"1\n"),
            ("sys/class/net/eth0/speed", b"2500\n"),
            ("sys/class/net/eth1/address", b"52:54:00:00:00:02\n"),
            ("sys/class/net/eth1/device/vendor", b""),
            ("sys/class/net/eth1/carrier", b"0\n"),
            ("sys/class/net/eth1/speed", b"1000\n"),
            ("sys/class/net/eth2/address", b"52:54:00:00:00:03\n"),
            ("sys/class/net/eth2/device/vendor", b""),
            ("sys/class/net/eth2/carrier", b"1\n"),
            ("sys/class/net/eth2/speed", b"-1\n"),
        ];
        let root = fake(&files);
        let cards = cards(&SystemPaths::below(root.path()));
        let links: Vec<_> = cards.iter().map(|card| (card.link, card.speed_mbps)).collect();
        assert_eq!(links, [(true, Some(2500)), (false, None), (true, None)]);
    }

    fn fake(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn takes_what_identifies_and_leaves_what_vendors_forgot() {
        let root = fake(&[
            ("sys/class/dmi/id/product_uuid", b"4C4C4544-0042-3510-8052-B4C04F4E3132\n"),
            ("sys/class/dmi/id/product_serial", b"To be filled by O.E.M.\n"),
            ("sys/class/dmi/id/product_name", b" OptiPlex 7010 \n"),
        ]);
        let id = identity(&SystemPaths::below(root.path()), None);
        assert_eq!(id.uuid().unwrap().to_string(), "4c4c4544-0042-3510-8052-b4c04f4e3132");
        assert_eq!(id.serial(), None);
        assert_eq!(id.product(), Some("OptiPlex 7010"));
        let bogus = fake(&[("sys/class/dmi/id/product_uuid", b"03000200-0400-0500-0006-000700080009\n")]);
        assert_eq!(identity(&SystemPaths::below(bogus.path()), None), MachineId::default());
    }

    #[test]
    fn macs_are_those_of_cards_with_hardware_and_the_booted_one_leads() {
        let root = fake(&[
            ("sys/class/net/lo/address", b"00:00:00:00:00:00\n"),
            ("sys/class/net/dummy0/address", b"02:00:00:00:00:09\n"),
            ("sys/class/net/eth0/address", b"52:54:00:00:00:01\n"),
            ("sys/class/net/eth0/device/vendor", b""),
            ("sys/class/net/eth1/address", b"52:54:00:00:00:02\n"),
            ("sys/class/net/eth1/device/vendor", b""),
        ]);
        let paths = SystemPaths::below(root.path());
        let [first, second] = ["52:54:00:00:00:01", "52:54:00:00:00:02"].map(|mac| mac.parse().unwrap());
        assert_eq!(identity(&paths, None).macs(), [first, second]);
        assert_eq!(identity(&paths, Some(second)).macs(), [second, first]);
    }

    #[test]
    fn firmware_is_read_from_the_zero_page() {
        assert_eq!(firmware(&SystemPaths::below(fake(&[]).path())), "bios");
        let mut zero_page = vec![0; 4096];
        zero_page[SECURE_BOOT_OFFSET] = 2;
        let efi = |data: &[u8]| {
            fake(&[("sys/firmware/efi/fw_platform_size", b"64"), ("sys/kernel/boot_params/data", data)])
        };
        assert_eq!(firmware(&SystemPaths::below(efi(&zero_page).path())), "uefi");
        zero_page[SECURE_BOOT_OFFSET] = SECURE_BOOT_ENABLED;
        assert_eq!(firmware(&SystemPaths::below(efi(&zero_page).path())), "uefi+secureboot");
    }
}
