//! Where the programs are that tests and benchmarks drive: ours as built, others as installed.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

/// Debian package of each foreign program that we drive, where its name differs.
const PACKAGES: &[(&str, &str)] = &[
    ("aria2c", "aria2"),
    ("blkid", "util-linux"),
    ("bsdtar", "libarchive-tools"),
    ("btrfs", "btrfs-progs"),
    ("debugfs", "e2fsprogs"),
    ("dh", "debhelper"),
    ("dhcpd", "isc-dhcp-server"),
    ("dhcrelay", "isc-dhcp-relay"),
    ("dnsmasq", "dnsmasq-base"),
    ("dpkg-buildpackage", "dpkg-dev"),
    ("e2fsck", "e2fsprogs"),
    ("fsck.fat", "dosfstools"),
    ("fsck.minix", "util-linux-extra"),
    ("ip", "iproute2"),
    ("kea-dhcp4", "kea-dhcp4-server"),
    ("losetup", "mount"),
    ("mcopy", "mtools"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.jfs", "jfsutils"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.vfat", "dosfstools"),
    ("mkfs.xfs", "xfsprogs"),
    ("mkntfs", "ntfs-3g"),
    ("mkswap", "util-linux"),
    ("modprobe", "kmod"),
    ("node", "nodejs"),
    ("ntfscat", "ntfs-3g"),
    ("ntfscp", "ntfs-3g"),
    ("ntfsfix", "ntfs-3g"),
    ("ntfsresize", "ntfs-3g"),
    ("objdump", "binutils"),
    ("partclone.ext4", "partclone"),
    ("partx", "util-linux"),
    ("qemu-img", "qemu-utils"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("setpriv", "util-linux"),
    ("sfdisk", "fdisk"),
    ("sgdisk", "gdisk"),
    ("tc", "iproute2"),
    ("ssh-keygen", "openssh-client"),
    ("transmission-create", "transmission-cli"),
    ("udp-receiver", "udpcast"),
    ("udp-sender", "udpcast"),
    ("unshare", "util-linux"),
    ("wipefs", "util-linux"),
    ("xfs_logprint", "xfsprogs"),
    ("xfs_repair", "xfsprogs"),
];

/// A program of this workspace as built: in `$EZIO_BIN`, beside the running executable, or in the
/// target directory above it. `ezio-init` is taken from the musl build where there is one: that is
/// the program that clients run.
///
/// # Errors
/// It has not been built.
pub fn find(name: &str) -> Result<PathBuf> {
    let mut places = Vec::new();
    places.extend(env::var_os("EZIO_BIN").map(PathBuf::from));
    let running = env::current_exe()?;
    for folder in running.ancestors().skip(1).take(2) {
        if let ("ezio-init", Some(target)) = (name, folder.parent()) {
            places.push(target.join("x86_64-unknown-linux-musl/initrd"));
        }
        places.push(folder.to_path_buf());
    }
    let found = places.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        anyhow::anyhow!("{name} is not built: run `cargo build --workspace` (looked in {places:?})")
    })
}

/// Is this foreign program on the search path (or among the system's programs)?
fn installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .any(|folder| folder.join(program).is_file())
}

/// Asks for foreign programs.
///
/// # Errors
/// Some are missing: the error names the packages to install.
pub fn need(programs: &[&str]) -> Result<()> {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| !installed(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let package = |program: &&str| {
        PACKAGES.iter().find(|(name, _)| name == program).map_or(*program, |(_, package)| package).to_owned()
    };
    let packages: Vec<String> = missing.iter().map(package).collect();
    bail!("{} missing: apt-get install {}", missing.join(", "), packages.join(" "))
}

/// Asks for the rights that namespaces, loop devices and raw sockets need.
///
/// # Errors
/// We are not root.
pub fn need_root() -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "this needs root (namespaces, loop devices): run it through sudo"
    );
    Ok(())
}

/// A script or data file that is kept in this crate, by its path below the crate.
#[must_use]
pub fn own_file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Debian's own Python: the interpreter that `python3-libtorrent` is installed for.
pub const PYTHON: &str = "/usr/bin/python3";

/// Asks for a module of Debian's Python.
///
/// # Errors
/// It cannot be imported: the error names the package to install.
pub fn need_python(module: &str, package: &str) -> Result<()> {
    let import = std::process::Command::new(PYTHON).args(["-c", &format!("import {module}")]).output();
    ensure!(
        import.is_ok_and(|output| output.status.success()),
        "Python module {module} missing: apt-get install {package}"
    );
    Ok(())
}
