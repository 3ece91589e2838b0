//! Where a system names its partitions by ids of the partition table (`PARTUUID=`) or of file systems (`UUID=`): these follow
//! when the ids change.

use crate::target::tree::Tree;

/// Files that may name partitions: of the system, of boot loaders in it or on a partition of their own.
const FILES: [&str; 16] = [
    "etc/fstab",
    "etc/crypttab",
    "etc/default/grub",
    "etc/kernel/cmdline",
    "etc/initramfs-tools/conf.d/resume",
    "boot/extlinux/extlinux.conf",
    "extlinux/extlinux.conf",
    "boot/syslinux/syslinux.cfg",
    "boot/refind_linux.conf",
    "refind_linux.conf",
    "boot/grub/grub.cfg",
    "boot/grub2/grub.cfg",
    "grub/grub.cfg",
    "grub2/grub.cfg",
    "boot/cmdline.txt",
    "cmdline.txt",
];
/// Folders of such files.
const FOLDERS: [&str; 2] = ["loader/entries", "boot/loader/entries"];
/// Units of systemd that mount something, by the ends of their names.
const UNITS: &str = "etc/systemd/system";
const UNIT_KINDS: [&str; 3] = [".mount", ".automount", ".swap"];
/// Folder of loaders, a folder each.
pub(super) const LOADERS: &str = "EFI";

/// Puts the new ids in place of the old ones; says in which files.
pub(super) fn follow(tree: &Tree, ids: &[(String, String)]) -> anyhow::Result<Option<String>> {
    let mut paths: Vec<String> = FILES.map(str::to_owned).into();
    for folder in FOLDERS {
        paths.extend(tree.names(folder)?.iter().map(|name| format!("{folder}/{name}")));
    }
    let units =
        tree.names(UNITS)?.into_iter().filter(|name| UNIT_KINDS.iter().any(|end| name.ends_with(end)));
    paths.extend(units.map(|name| format!("{UNITS}/{name}")));
    for loader in tree.names(LOADERS)? {
        paths.extend(["grub.cfg", "refind.conf"].map(|name| format!("{LOADERS}/{loader}/{name}")));
    }
    let mut changed = Vec::new();
    for path in paths {
        let Some(old) = tree.read(&path)? else { continue };
        let new = replaced(&old, ids);
        if new != old {
            tree.write(&path, &new, 0o644)?;
            changed.push(path);
        }
    }
    Ok((!changed.is_empty()).then(|| format!("new ids in {}", changed.join(", "))))
}

/// Each old id is replaced where it stands for itself, in upper or lower case.
fn replaced(text: &[u8], ids: &[(String, String)]) -> Vec<u8> {
    let mut new = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let is_part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
        let begins = at == 0 || !is_part(&text[at - 1]);
        let found = ids.iter().filter(|_| begins).find(|(old, _)| {
            let there = text.get(at..at + old.len()).is_some_and(|t| t.eq_ignore_ascii_case(old.as_bytes()));
            there && !text.get(at + old.len()).is_some_and(is_part)
        });
        match found {
            Some((old, id)) => {
                new.extend_from_slice(id.as_bytes());
                at += old.len();
            }
            None => {
                new.push(*byte);
                at += 1;
            }
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_replaced_where_they_stand_for_themselves() {
        let ids = [("aa-01".to_owned(), "bb-01".to_owned()), ("aa-02".to_owned(), "bb-02".to_owned())];
        let text = b"PARTUUID=AA-01 / ext4\n/dev/disk/by-partuuid/aa-02 aa-012 xaa-01 \xff aa-01";
        let expected = b"PARTUUID=bb-01 / ext4\n/dev/disk/by-partuuid/bb-02 aa-012 xaa-01 \xff bb-01";
        assert_eq!(replaced(text, &ids), expected);
    }
}
