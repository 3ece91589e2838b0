//! The architecture that an image is for: what the operator says, else what starts from the disk, else this machine's.

use std::fmt;

use anyhow::{Context, Result};
use ezio_contract::Arch;
use ezio_image::filesystem::fat_folder;
use ezio_image::manifest::SourceKind;

use super::plan::Plan;
use super::source::Source;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// None: machines of any architecture may get the image.
    pub(crate) arch: Option<Arch>,
    /// How that is known.
    by: &'static str,
}

/// Looks at what will be captured; `told` is the operator's word.
pub(crate) fn find(source: &Source, plan: &Plan, told: Option<Arch>) -> Result<Found> {
    if told.is_some() {
        return Ok(Found { arch: told, by: "--arch says so" });
    }
    let loaders = loaders(source, plan)?;
    Ok(match loaders.as_slice() {
        [arch] => Found { arch: Some(*arch), by: "the loaders on its EFI system partition say so" },
        [_, ..] => Found { arch: None, by: "it has EFI loaders of several" },
        [] if plan.boot_code.is_some() => {
            Found { arch: Some(Arch::Amd64), by: "it has boot code for a BIOS" }
        }
        [] if plan.kind == SourceKind::Partition => {
            Found { arch: None, by: "it is a partition, which does not start by itself" }
        }
        [] => Found {
            arch: Arch::of_this_program(),
            by: "nothing on it says for which, so that of this machine is taken; --arch says otherwise",
        },
    })
}

/// Architectures of the EFI loaders on the disk: programs in the folders of `\EFI`, which end in their architecture.
fn loaders(source: &Source, plan: &Plan) -> Result<Vec<Arch>> {
    let mut found = Vec::new();
    for part in plan.parts.iter().filter(|part| part.filesystem.as_deref() == Some("vfat")) {
        let list = |path: &[&str]| {
            fat_folder(&source.file, part.offset, path)
                .with_context(|| format!("cannot read the folders of {}", part.name))
        };
        for folder in list(&["EFI"])? {
            let programs = list(&["EFI", &folder])?;
            // `BOOTX64.EFI`, `SHIMAA64.EFI`: after the UEFI specification, 3.5.1.1.
            let has = |arch: &Arch| {
                let end = format!("{}.EFI", arch.efi().to_ascii_uppercase());
                programs.iter().any(|program| program.ends_with(&end))
            };
            found.extend(Arch::ALL.into_iter().filter(has));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.arch {
            Some(arch) => write!(f, "for machines of {arch} ({})", self.by),
            None => write!(f, "for machines of any architecture ({})", self.by),
        }
    }
}
