//! What a kernel's configuration says, as its package has it beside the kernel.

use std::fs;
use std::path::Path;

/// Compression of modules that a kernel undoes by itself (`CONFIG_MODULE_DECOMPRESS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

impl Compression {
    /// Of the kernel `vmlinuz-VERSION`, by the file `config-VERSION` beside it; without that file it undoes none.
    pub(crate) fn undone_by(kernel: &Path, version: &str) -> Self {
        let config = fs::read_to_string(kernel.with_file_name(format!("config-{version}")));
        Self::of_config(&config.unwrap_or_default())
    }

    fn of_config(config: &str) -> Self {
        let set = |name: &str| config.lines().any(|line| line == format!("CONFIG_MODULE_{name}=y"));
        match set("DECOMPRESS") {
            true if set("COMPRESS_XZ") => Self::Xz,
            true if set("COMPRESS_ZSTD") => Self::Zstd,
            true if set("COMPRESS_GZIP") => Self::Gzip,
            _ => Self::None,
        }
    }

    /// Has a module of this name this compression?
    pub(crate) fn is_of(self, file: &str) -> bool {
        let suffix = match self {
            Self::None => return false,
            Self::Gzip => ".ko.gz",
            Self::Xz => ".ko.xz",
            Self::Zstd => ".ko.zst",
        };
        file.ends_with(suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_kernel_undoes_by_itself() {
        let trixie = "CONFIG_MODULE_COMPRESS=y\n# CONFIG_MODULE_COMPRESS_GZIP is not set\nCONFIG_MODULE_COMPRESS_XZ=y\n\
            CONFIG_MODULE_DECOMPRESS=y\n";
        assert_eq!(Compression::of_config(trixie), Compression::Xz);
        assert!(Compression::Xz.is_of("ahci.ko.xz") && !Compression::Xz.is_of("ahci.ko.zst"));
        // kmod undoes it there, which is not in the initrd.
        let without = trixie.replace("CONFIG_MODULE_DECOMPRESS=y", "# CONFIG_MODULE_DECOMPRESS is not set");
        assert_eq!(Compression::of_config(&without), Compression::None);
        assert_eq!(Compression::of_config("CONFIG_MODULE_COMPRESS_NONE=y\n"), Compression::None);
        assert!(!Compression::None.is_of("ahci.ko.xz"));
    }
}
