//! Which modules machines may load: in the initrd what brings up the network, that is wired cards of real PCs,
//! laptops, servers and virtual machines, on their buses; on demand disks, file systems and keyboards; and what
//! `--modules` adds or removes.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, bail};

use super::modinfo::canonical_name;
use super::tree::{KernelModule, ModuleTree};

/// Folders and files below `kernel/` without which there may be no network.
const NETWORK: &[&str] = &[
    // Wired network cards, their transceivers, and USB adapters.
    "drivers/net/ethernet/",
    "drivers/net/phy/",
    "drivers/net/mdio/",
    "drivers/net/usb/",
    // Network cards of virtual machines, and the buses they are on. Hyper-V passes PCI devices through its own bridge.
    "drivers/net/virtio_net.ko",
    "drivers/net/vmxnet3/",
    "drivers/net/hyperv/",
    "drivers/net/xen-netfront.ko",
    "drivers/virtio/",
    "drivers/hv/hv_vmbus.ko",
    "drivers/pci/controller/pci-hyperv",
    // USB controllers, for USB adapters.
    "drivers/usb/host/",
    // A virtual machine without another source waits for random numbers.
    "drivers/char/hw_random/virtio-rng.ko",
];

/// Those of them that are in servers, or stand beside another card of a virtual machine: adapters of 10 Gbit/s and more,
/// and the first ones of 1 Gbit/s. A PC that has one all the same is given them when it starts for the second time.
const SERVER_CARDS: &[&str] = &[
    "drivers/net/ethernet/alteon/",
    "drivers/net/ethernet/amazon/",
    "drivers/net/ethernet/amd/xgbe/",
    "drivers/net/ethernet/broadcom/bnx2",
    "drivers/net/ethernet/broadcom/bnxt/",
    "drivers/net/ethernet/brocade/",
    "drivers/net/ethernet/cavium/",
    "drivers/net/ethernet/chelsio/",
    "drivers/net/ethernet/cisco/",
    "drivers/net/ethernet/emulex/",
    "drivers/net/ethernet/google/",
    "drivers/net/ethernet/huawei/",
    "drivers/net/ethernet/intel/i40e/",
    "drivers/net/ethernet/intel/iavf/",
    "drivers/net/ethernet/intel/ice/",
    "drivers/net/ethernet/intel/idpf/",
    "drivers/net/ethernet/intel/igbvf/",
    "drivers/net/ethernet/intel/ixgbevf/",
    "drivers/net/ethernet/mellanox/",
    "drivers/net/ethernet/microsoft/",
    "drivers/net/ethernet/myricom/",
    "drivers/net/ethernet/neterion/",
    "drivers/net/ethernet/netronome/",
    "drivers/net/ethernet/packetengines/",
    "drivers/net/ethernet/pensando/",
    "drivers/net/ethernet/qlogic/",
    "drivers/net/ethernet/sfc/",
    "drivers/net/ethernet/sun/",
    "drivers/net/ethernet/tehuti/",
];

/// Folders and files below `kernel/` that are fetched by machines whose devices ask for them.
const ON_DEMAND: &[&str] = &[
    // Disks: SATA and PATA, NVMe, SCSI and RAID controllers, eMMC and SD, UFS.
    "drivers/ata/",
    "drivers/nvme/host/nvme.ko",
    "drivers/scsi/",
    "drivers/message/fusion/",
    "drivers/mmc/",
    "drivers/misc/cardreader/",
    "drivers/ufs/",
    "drivers/block/mtip32xx/",
    // Intel's VMD hides NVMe disks behind it.
    "drivers/pci/controller/",
    // Disks of virtual machines.
    "drivers/block/virtio_blk.ko",
    "drivers/block/xen-blkfront.ko",
    "drivers/hv/hv_utils.ko",
    // USB disks.
    "drivers/usb/storage/",
    // A keyboard, for the rescue shell.
    "drivers/hid/usbhid/usbhid.ko",
    "drivers/hid/hid-generic.ko",
    "drivers/hid/hid-hyperv.ko",
    "drivers/input/serio/hyperv-keyboard.ko",
    "drivers/input/serio/i8042.ko",
    "drivers/input/keyboard/atkbd.ko",
    // The EFI system partition and the firmware's boot entries, for hooks.
    "fs/efivarfs/",
    "fs/fat/vfat.ko",
    // What systems are on: a clone gets its identity, and a larger disk is filled, through them.
    "fs/btrfs/btrfs.ko",
    "fs/ext4/ext4.ko",
    "fs/ntfs3/ntfs3.ko",
    "fs/xfs/xfs.ko",
    // Card detection of eMMC and SD on recent laptops.
    "drivers/pinctrl/intel/",
];

/// Modules that no device names, but which the kernel asks for by their name.
const ASKED_BY_NAME: &[&str] = &["mlx4_en", "nls_ascii", "nls_cp437", "nls_iso8859_1", "nls_utf8"];

/// Drivers that do nothing for us without another one, which they do not name in their fields.
const COMPANIONS: &[(&str, &str)] = &[("mlx4_core", "mlx4_en")];

/// What is left out of them: no bare machine boots from it, or it drives no local disk. `thunderbolt` is not wanted
/// either: it would take down the tunnels that the firmware made to a dock's card, and nobody here may make new ones.
const UNWANTED: &[&str] = &[
    // Switch chips.
    "drivers/net/ethernet/mellanox/mlxsw/",
    "drivers/net/ethernet/mellanox/mlxfw/",
    // Mobile modems and phones.
    "drivers/net/usb/cdc-phonet.ko",
    "drivers/net/usb/hso.ko",
    "drivers/net/usb/huawei_cdc_ncm.ko",
    "drivers/net/usb/ipheth.ko",
    "drivers/net/usb/kalmia.ko",
    "drivers/net/usb/lg-vl600.ko",
    "drivers/net/usb/qmi_wwan.ko",
    "drivers/net/usb/sierra_net.ko",
    "drivers/net/usb/zaurus.ko",
    // Disks over the network (iSCSI, FCoE), whose set-up needs programs that are not in the initrd.
    "drivers/scsi/bnx2fc/",
    "drivers/scsi/bnx2i/",
    "drivers/scsi/cxgbi/",
    "drivers/scsi/fcoe/",
    "drivers/scsi/iscsi",
    "drivers/scsi/qedi/",
    // Several paths to one disk, test devices, CD drives, tapes, scanners, PC cards.
    "drivers/scsi/device_handler/",
    "drivers/scsi/pcmcia/",
    "drivers/net/ethernet/3com/3c574_cs.ko",
    "drivers/net/ethernet/3com/3c589_cs.ko",
    "drivers/net/ethernet/8390/axnet_cs.ko",
    "drivers/net/ethernet/8390/pcnet_cs.ko",
    "drivers/net/ethernet/amd/nmclan_cs.ko",
    "drivers/net/ethernet/fujitsu/",
    "drivers/net/ethernet/smsc/smc91c92_cs.ko",
    "drivers/net/ethernet/xircom/",
    "drivers/mmc/host/sdricoh_cs.ko",
    "drivers/usb/host/sl811",
    "drivers/usb/host/u132-hcd.ko",
    "drivers/scsi/scsi_debug.ko",
    "drivers/scsi/sr_mod.ko",
    "drivers/scsi/st.ko",
    "drivers/scsi/ch.ko",
    "drivers/ata/pata_pcmcia.ko",
    "drivers/mmc/core/mmc_test.ko",
    // What takes memory from a virtual machine, or gives it more.
    "drivers/virtio/virtio_balloon.ko",
    "drivers/virtio/virtio_mem.ko",
    "drivers/virtio/virtio_vdpa.ko",
];

/// The modules that were asked for, before what they need.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Names of the modules.
    pub(crate) names: BTreeSet<String>,
    /// Those of them that the initrd must hold, because there may be no network without them.
    pub(crate) early: BTreeSet<String>,
    /// Those of them that a second initrd holds, for servers.
    pub(crate) server_cards: BTreeSet<String>,
    /// Those of them that no device names: they are loaded whatever devices there are.
    pub(crate) always: BTreeSet<String>,
    /// Names never to be taken, even when another module wants them softly.
    pub(crate) removed: BTreeSet<String>,
}

/// Chooses modules. `changes` are words as `--modules` takes them: `+NAME` or `NAME`, `-NAME`,
/// `-all`, `@FILE` with more words; a name with a `/` is a folder or file below `kernel/`.
pub(crate) fn select(tree: &ModuleTree, changes: &[String]) -> Result<Selection> {
    let mut selection = Selection::default();
    for module in tree.modules.values().filter(|m| wanted_by_default(m)) {
        selection.names.insert(module.info.name.clone());
        if below(SERVER_CARDS, module) {
            selection.server_cards.insert(module.info.name.clone());
        } else if below(NETWORK, module) {
            selection.early.insert(module.info.name.clone());
        }
    }
    for change in expand(changes)? {
        apply(tree, &mut selection, &change)?;
    }
    Ok(selection)
}

fn wanted_by_default(module: &KernelModule) -> bool {
    let wanted = below(NETWORK, module) || below(ON_DEMAND, module);
    // What no device names and no other module needs could never be loaded.
    let loadable = !module.info.aliases.is_empty() && wanted && !below(UNWANTED, module);
    loadable || ASKED_BY_NAME.contains(&module.info.name.as_str())
}

fn below(places: &[&str], module: &KernelModule) -> bool {
    places.iter().any(|place| module.path.starts_with(place))
}

/// Modules to load after `name` although it does not say so.
pub(crate) fn companions(name: &str) -> impl Iterator<Item = String> {
    COMPANIONS.iter().filter(move |(first, _)| *first == name).map(|(_, second)| (*second).to_owned())
}

fn apply(tree: &ModuleTree, selection: &mut Selection, change: &str) -> Result<()> {
    if change == "-all" {
        selection.names.clear();
        selection.early.clear();
        selection.server_cards.clear();
        return Ok(());
    }
    let (add, what) = match change.strip_prefix('-') {
        Some(what) => (false, what),
        None => (true, change.strip_prefix('+').unwrap_or(change)),
    };
    for name in named(tree, what)? {
        if add {
            let has_alias = tree.modules.get(&name).is_some_and(|m| !m.info.aliases.is_empty());
            if !has_alias {
                selection.always.insert(name.clone());
            }
            selection.removed.remove(&name);
            selection.early.insert(name.clone());
            selection.names.insert(name);
        } else {
            selection.names.remove(&name);
            selection.early.remove(&name);
            selection.server_cards.remove(&name);
            selection.always.remove(&name);
            selection.removed.insert(name);
        }
    }
    Ok(())
}

/// Names of the modules that a word means.
fn named(tree: &ModuleTree, what: &str) -> Result<Vec<String>> {
    if what.contains('/') {
        let names: Vec<String> =
            tree.modules.values().filter(|m| m.path.starts_with(what)).map(|m| m.info.name.clone()).collect();
        if names.is_empty() {
            bail!("kernel {} has no module below {what:?}", tree.kernel);
        }
        return Ok(names);
    }
    let name = canonical_name(what);
    match tree.modules.contains_key(&name) {
        true => Ok(vec![name]),
        // It works without: nothing to do.
        false if tree.is_builtin(&name) => Ok(Vec::new()),
        false => bail!("kernel {} has no module {what:?}", tree.kernel),
    }
}

/// Words of `--modules`, with the words of `@FILE` in its place (`#` begins a comment there).
fn expand(changes: &[String]) -> Result<Vec<String>> {
    let mut words = Vec::new();
    for change in changes {
        match change.strip_prefix('@') {
            None => words.extend(change.split(',').filter(|w| !w.is_empty()).map(str::to_owned)),
            Some(file) => {
                let text =
                    fs::read_to_string(file).with_context(|| format!("cannot read module list {file}"))?;
                for line in text.lines() {
                    let line = line.split('#').next().unwrap_or_default();
                    words.extend(line.split([' ', '\t', ',']).filter(|w| !w.is_empty()).map(str::to_owned));
                }
            }
        }
    }
    Ok(words)
}
