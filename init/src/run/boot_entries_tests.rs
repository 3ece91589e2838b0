//! Disks that other programs made, and a folder that stands for a firmware's variables.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

use super::*;

const SIZE: u64 = 64 << 20;
const TABLE: &str = "label: gpt\nstart=2048, size=81920, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\n";

/// A disk whose EFI system partition has this file.
fn disk_with(folder: &Path, file: &str) -> BlockTarget {
    let path = folder.join("disk");
    fs::write(&path, []).unwrap();
    let target = BlockTarget::create_file(&path, SIZE).unwrap();
    let script = "printf \"$2\" | sfdisk --quiet \"$1\"\n\
        mkfs.vfat -F 16 --offset 2048 \"$1\" 40960 >/dev/null\n\
        mmd -i \"$1@@1M\" ::EFI \"::${3%/*}\"\n\
        mcopy -i \"$1@@1M\" /dev/null \"::$3\"";
    let mut shell = Command::new("sh");
    shell.args(["-ec", script, "sh"]).arg(&path).args([TABLE, file]);
    let output = shell.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target
}

fn make(target: &BlockTarget, variables: Option<PathBuf>) -> anyhow::Result<Vec<String>> {
    let open = || match variables {
        Some(folder) => Ok(EfiVariables::at(folder)),
        None => bail!("no space left"),
    };
    super::make(&vec![(target.clone(), Vec::new())], Arch::Amd64, open)
}

#[test]
fn a_loader_gets_an_entry_once() {
    let folder = tempfile::tempdir().unwrap();
    let target = disk_with(folder.path(), "EFI/debian/shimx64.efi");
    let variables = folder.path().join("variables");
    fs::create_dir(&variables).unwrap();
    let lines = make(&target, Some(variables.clone())).unwrap();
    let entry = "boot entry \"debian\" starts \\EFI\\debian\\shimx64.efi";
    assert_eq!(lines, [entry, "boot order: Boot0000"]);
    let known = EfiVariables::at(variables.clone()).boot_entries().unwrap();
    assert_eq!((known.entries.len(), known.order.as_slice()), (1, [0].as_slice()));
    assert_eq!(make(&target, Some(variables.clone())).unwrap(), [entry]);

    // The same disk with another table: its old partition is gone, and its entry with it.
    let before = PartitionId::all_of(&partitions(&target).unwrap());
    let other = tempfile::tempdir().unwrap();
    let anew = disk_with(other.path(), "EFI/BOOT/BOOTX64.EFI");
    let open = || Ok(EfiVariables::at(variables.clone()));
    let lines = super::make(&vec![(anew, before)], Arch::Amd64, open).unwrap();
    assert_eq!(lines, ["boot entry \"UEFI OS\" starts \\EFI\\BOOT\\BOOTX64.EFI"]);
    assert_eq!(EfiVariables::at(variables).boot_entries().unwrap().entries.len(), 1);
}

/// As a clone with `regenerate = ["disk-guid"]` gets it; efibootmgr is the judge of the entry.
#[test]
fn a_partition_with_a_new_id_is_what_its_entry_names() {
    let folder = tempfile::tempdir().unwrap();
    let target = disk_with(folder.path(), "EFI/debian/shimx64.efi");
    let (layout, ids) = partitions(&target).unwrap().renewed(uuid::Uuid::new_v4);
    for (offset, bytes) in layout.encode(SIZE, 512).unwrap().writes() {
        target.write_all_at(*offset, bytes).unwrap();
    }
    let variables = folder.path().join("variables");
    fs::create_dir(&variables).unwrap();
    make(&target, Some(variables.clone())).unwrap();
    let mut efibootmgr = Command::new("efibootmgr");
    // It wants the slash.
    efibootmgr
        .arg("-v")
        .env("LIBEFIVAR_OPS", "efivarfs")
        .env("EFIVARFS_PATH", format!("{}/", variables.display()));
    let output = efibootmgr.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).to_lowercase();
    let [(old, new)] = &ids[..] else { panic!("{ids:?}") };
    assert!(said.contains(&format!("hd(1,gpt,{new},")) && !said.contains(old), "{said}");
}

#[test]
fn firmware_that_takes_no_entry_matters_where_it_would_not_find_the_loader_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let target = disk_with(folder.path(), "EFI/BOOT/BOOTX64.EFI");
    let lines = make(&target, None).unwrap().concat();
    assert!(lines.contains("no space left") && lines.contains("BOOTX64.EFI by itself"), "{lines}");
    let target = disk_with(folder.path(), "EFI/debian/shimx64.efi");
    let error = format!("{:#}", make(&target, None).unwrap_err());
    assert!(error.contains("no firmware finds a loader") && error.contains("no space left"), "{error}");
}

#[test]
fn a_disk_that_uefi_does_not_start_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let target = disk_with(folder.path(), "EFI/BOOT/BOOTAA64.EFI");
    let lines = make(&target, None).unwrap().concat();
    assert!(lines.contains("no loader of amd64"), "{lines}");
}
