//! What QEMU can plug into a machine: network cards and disk controllers, each by QEMU's names.

/// A network card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Card {
    /// virtio-net.
    Virtio,
    /// Intel 82540EM.
    E1000,
    /// Intel 82574L; only BIOS can boot from it here (OVMF has no driver).
    E1000e,
    /// Intel 82557B (PRO/100).
    I82557b,
    /// NE2000 over PCI (RTL8029).
    Ne2k,
    /// AMD Am79C970A.
    Pcnet,
    /// Realtek RTL8139C+.
    Rtl8139,
    /// DEC 21143.
    Tulip,
    /// A USB adapter (CDC Ethernet).
    UsbNet,
    /// VMware's.
    Vmxnet3,
    /// Intel 82551, whose driver asks for a firmware file that is not free.
    I82551,
}

impl Card {
    /// All that need no firmware file.
    pub const ALL: [Self; 10] = [
        Self::Virtio,
        Self::E1000,
        Self::E1000e,
        Self::I82557b,
        Self::Ne2k,
        Self::Pcnet,
        Self::Rtl8139,
        Self::Tulip,
        Self::UsbNet,
        Self::Vmxnet3,
    ];

    /// From the controller to the card, each on the bus of the one before.
    #[must_use]
    pub fn chain(self) -> &'static [&'static str] {
        match self {
            Self::Virtio => &["virtio-net-pci"],
            Self::E1000 => &["e1000"],
            Self::E1000e => &["e1000e"],
            Self::I82557b => &["i82557b"],
            Self::Ne2k => &["ne2k_pci"],
            Self::Pcnet => &["pcnet"],
            Self::Rtl8139 => &["rtl8139"],
            Self::Tulip => &["tulip"],
            Self::UsbNet => &["qemu-xhci", "usb-net"],
            Self::Vmxnet3 => &["vmxnet3"],
            Self::I82551 => &["i82551"],
        }
    }
}

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// SATA (AHCI).
    Sata,
    /// PATA (Intel PIIX3).
    Ide,
    /// NVMe.
    Nvme,
    /// virtio-blk.
    Virtio,
    /// virtio-scsi.
    VirtioScsi,
    /// LSI MegaRAID SAS 1078.
    Megasas,
    /// LSI MegaRAID SAS 2108.
    MegasasGen2,
    /// LSI SAS 1068.
    Mptsas1068,
    /// LSI 53C895A.
    Lsi53c895a,
    /// AMD Am53C974.
    Am53c974,
    /// VMware's.
    Pvscsi,
    /// A card in an SD slot.
    Sdhci,
    /// A stick at USB 3.
    Usb,
    /// A stick at USB 2.
    Usb2,
    /// A USB disk that takes several commands at a time.
    Uas,
}

impl Bus {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Sata,
        Self::Ide,
        Self::Nvme,
        Self::Virtio,
        Self::VirtioScsi,
        Self::Megasas,
        Self::MegasasGen2,
        Self::Mptsas1068,
        Self::Lsi53c895a,
        Self::Am53c974,
        Self::Pvscsi,
        Self::Sdhci,
        Self::Usb,
        Self::Usb2,
        Self::Uas,
    ];

    /// From the controller to the disk, each on the bus of the one before. Where no controller stands, the machine has
    /// one, or the disk is one.
    #[must_use]
    pub fn chain(self) -> &'static [&'static str] {
        match self {
            Self::Sata => &["ide-hd"],
            Self::Ide => &["piix3-ide", "ide-hd"],
            Self::Nvme => &["nvme"],
            Self::Virtio => &["virtio-blk-pci"],
            Self::VirtioScsi => &["virtio-scsi-pci", "scsi-hd"],
            Self::Megasas => &["megasas", "scsi-hd"],
            Self::MegasasGen2 => &["megasas-gen2", "scsi-hd"],
            // The controller says a disk's WWN where its SAS address is asked for. Without one it says 0, as if there were
            // no disk; a real SAS disk has an address.
            Self::Mptsas1068 => &["mptsas1068", "scsi-hd,wwn=0x5000c50015ea71ac"],
            Self::Lsi53c895a => &["lsi53c895a", "scsi-hd"],
            Self::Am53c974 => &["am53c974", "scsi-hd"],
            Self::Pvscsi => &["pvscsi", "scsi-hd"],
            Self::Sdhci => &["sdhci-pci", "sd-card"],
            Self::Usb => &["qemu-xhci", "usb-storage"],
            Self::Usb2 => &["usb-ehci", "usb-storage"],
            Self::Uas => &["qemu-xhci", "usb-uas", "scsi-hd"],
        }
    }

    /// Can its medium be taken out, as far as a machine can tell?
    #[must_use]
    pub fn is_removable(self) -> bool {
        matches!(self, Self::Sdhci | Self::Usb | Self::Usb2 | Self::Uas)
    }
}

/// The `-device` options for a chain: the last one has these `properties`. Ids begin with `name`.
pub(super) fn options(chain: &[&str], name: &str, properties: &str) -> Vec<String> {
    let mut options = Vec::new();
    let mut bus = String::new();
    for (depth, device) in chain.iter().enumerate() {
        let id = format!("{name}-{depth}");
        let is_last = depth + 1 == chain.len();
        let own = if is_last { format!(",{properties}") } else { String::new() };
        options.push(format!("{device},id={id}{bus}{own}"));
        // QEMU names a controller's bus after the controller, but for the one of an SD slot.
        bus = if *device == "sdhci-pci" { ",bus=sd-bus".to_owned() } else { format!(",bus={id}.0") };
    }
    options
}
