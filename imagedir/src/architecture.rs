//! The architecture that an image is for: what the operator says, else what starts from the disk, else this machine's.

use std::fmt;
use std::io;

use ezio_contract::Arch;
use ezio_image::filesystem::fat_folder;
use ezio_image::layout::ReadAt;

/// What tells the architecture of a disk.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The operator's word.
    pub told: Option<Arch>,
    /// Architectures of the EFI loaders on its FAT volumes.
    pub loaders: Vec<Arch>,
    /// Has it boot code for a BIOS?
    pub boot_code: bool,
    /// Need it start no machine? It is a partition, one file system without a table, or one disk of several.
    pub passive: bool,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// None: machines of any architecture may get the image.
    pub arch: Option<Arch>,
    /// How that is known.
    by: &'static str,
}

impl Evidence {
    /// Adds the EFI loaders on the FAT volume that begins at the byte `offset`: programs in the folders of `\EFI`, which
    /// end in their architecture.
    ///
    /// # Errors
    /// What the device says.
    pub fn look_for_loaders(&mut self, device: &impl ReadAt, offset: u64) -> io::Result<()> {
        for folder in fat_folder(device, offset, &["EFI"])? {
            let programs = fat_folder(device, offset, &["EFI", &folder])?;
            // `BOOTX64.EFI`, `shimaa64.efi`: after the UEFI specification, 3.5.1.1.
            let has = |arch: &Arch| {
                let end = format!("{}.efi", arch.efi());
                programs.iter().any(|program| program.to_ascii_lowercase().ends_with(&end))
            };
            self.loaders.extend(Arch::ALL.into_iter().filter(has));
        }
        Ok(())
    }

    /// What it comes to.
    #[must_use]
    pub fn judge(mut self) -> Architecture {
        if self.told.is_some() {
            return Architecture { arch: self.told, by: "--arch says so" };
        }
        self.loaders.sort_unstable();
        self.loaders.dedup();
        let (arch, by) = match self.loaders.as_slice() {
            [arch] => (Some(*arch), "the loaders on its EFI system partition say so"),
            [_, ..] => (None, "it has EFI loaders of several"),
            [] if self.boot_code => (Some(Arch::Amd64), "it has boot code for a BIOS"),
            [] if self.passive => (None, "nothing on it starts a machine, nor has to"),
            [] => (
                Arch::of_this_program(),
                "nothing on it says for which, so that of this machine is taken; --arch says otherwise",
            ),
        };
        Architecture { arch, by }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.arch {
            Some(arch) => write!(f, "for machines of {arch} ({})", self.by),
            None => write!(f, "for machines of any architecture ({})", self.by),
        }
    }
}
