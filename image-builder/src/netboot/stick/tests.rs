//! A stick is what the tools of others say: `sgdisk` of its tables, `fsck.fat` and mtools of its files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use ezio_contract::parameters::{SERVER, STICK};

use super::*;

/// An image on disk. The kernel is large enough to fill clusters, and the last one by a part.
struct Stick {
    _folder: tempfile::TempDir,
    file: PathBuf,
    bytes: Vec<u8>,
}

fn kernel() -> Vec<u8> {
    (0..300_123_u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect()
}

impl Stick {
    fn make(kernel: &[u8]) -> Self {
        let uefi = UefiBoot { shim: b"shim".to_vec(), grub: b"grub".to_vec() };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stick.img");
        fs::write(&file, b"").unwrap();
        super::make(&file, kernel, b"initrd", &uefi).unwrap();
        let bytes = fs::read(&file).unwrap();
        Self { _folder: folder, file, bytes }
    }

    fn ask(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new(crate::find_program(program).unwrap())
            .args(arguments.iter().map(|argument| argument.replace("STICK", self.file.to_str().unwrap())))
            .output()
            .unwrap();
        let said = [&output.stdout[..], &output.stderr].concat();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&said));
        output.stdout
    }

    fn told(&self, program: &str, arguments: &[&str]) -> String {
        String::from_utf8(self.ask(program, arguments)).unwrap()
    }

    fn content(&self, name: &str) -> Vec<u8> {
        self.ask("mtype", &["-i", "STICK@@1M", &format!("::{name}")])
    }
}

#[test]
fn mtools_reads_every_file_and_fsck_finds_no_fault() {
    let stick = Stick::make(&kernel());
    assert!(stick.content("vmlinuz") == kernel());
    for (name, content) in [
        ("initrd.img", &b"initrd"[..]),
        ("EFI/BOOT/BOOTX64.EFI", b"shim"),
        ("EFI/BOOT/GRUBX64.EFI", b"grub"),
        ("ezio.txt", EZIO_TXT.as_bytes()),
    ] {
        assert_eq!(stick.content(name), content, "{name}");
    }
    let volume = stick.file.with_extension("fat");
    let end = stick.bytes.len() - (BEHIND * SECTOR) as usize;
    fs::write(&volume, &stick.bytes[(FAT_START * SECTOR) as usize..end]).unwrap();
    let said = stick.told("fsck.fat", &["-n", "-v", volume.to_str().unwrap()]);
    assert!(said.contains("FATs, 32 bit entries") && said.contains("2048 hidden sectors"), "{said}");
    let listed = stick.told("mdir", &["-i", "STICK@@1M", "-a", "::/"]);
    assert!(listed.contains("Volume in drive : is EZIO") && listed.contains("1980-01-01"), "{listed}");
}

/// Notepad shows a text without CR as one line, and who edits it with Notepad writes them.
#[test]
fn the_text_for_people_ends_its_lines_as_windows_does_and_says_nothing_yet() {
    assert!(EZIO_TXT.lines().all(|line| line.is_empty() || line.starts_with('#')), "{EZIO_TXT}");
    assert_eq!(EZIO_TXT.matches('\n').count(), EZIO_TXT.matches("\r\n").count());
    assert!(EZIO_TXT.is_ascii() && !EZIO_TXT.is_empty());
}

#[test]
fn sgdisk_finds_a_whole_gpt_whose_id_is_on_the_kernels_command_line() {
    let stick = Stick::make(&kernel());
    let verified = stick.told("sgdisk", &["-v", "STICK"]);
    assert!(verified.contains("No problems found"), "{verified}");
    let printed = stick.told("sgdisk", &["-p", "STICK"]);
    let guid = printed.lines().find_map(|line| line.strip_prefix("Disk identifier (GUID): ")).unwrap();
    let config = String::from_utf8(stick.content("boot/grub/grub.cfg")).unwrap();
    for told in [format!(" {STICK}={} ", guid.to_lowercase()), format!("\"{SERVER}=$server\"")] {
        assert!(config.contains(&told) && !config.contains("@GUID@"), "{told}:\n{config}");
    }
    for (number, wanted) in [("1", "BIOS boot partition"), ("2", "Microsoft basic data")] {
        let partition = stick.told("sgdisk", &["-i", number, "STICK"]);
        assert!(partition.contains(wanted), "{partition}");
    }
}

/// Who reads no GPT finds the file system all the same, active.
#[test]
fn the_mbr_has_the_file_system_and_says_that_there_is_a_gpt() {
    let stick = Stick::make(&kernel());
    let mbr = &stick.bytes[..512];
    let entry = |n: usize| {
        let entry = &mbr[446 + 16 * n..462 + 16 * n];
        let number = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap());
        (entry[0], entry[4], number(8), number(12))
    };
    let fat_sectors = (stick.bytes.len() as u64 / SECTOR - FAT_START - BEHIND) as u32;
    assert_eq!(entry(0), (0x80, 0x0c, 2048, fat_sectors));
    assert_eq!(entry(1), (0, 0xee, 1, 2047));
    assert_eq!((entry(2), entry(3)), ((0, 0, 0, 0), (0, 0, 0, 0)));
    assert_eq!(mbr[510..], [0x55, 0xaa]);
    assert_ne!(mbr[440..444], [0; 4], "Windows writes an id of its own where there is none");
}

#[test]
fn the_same_inputs_give_the_same_stick_and_others_another_id() {
    let (one, two) = (Stick::make(&kernel()), Stick::make(&kernel()));
    assert!(one.bytes == two.bytes);
    let other = Stick::make(b"another kernel");
    let disk_guid = |image: &[u8]| image[512 + 56..512 + 72].to_vec();
    assert_ne!(disk_guid(&one.bytes), disk_guid(&other.bytes));
}

#[test]
fn boot_code_leads_to_the_core_image() {
    let stick = Stick::make(&kernel());
    let at = |offset: usize| u64::from_le_bytes(stick.bytes[offset..offset + 8].try_into().unwrap());
    assert_eq!(at(0x5c), BIOS.0, "the boot code loads the core image's first sector");
    let list = (BIOS.0 * SECTOR) as usize + 512 - 12;
    assert_eq!(at(list), BIOS.0 + 1, "which loads the rest");
    let sectors = u16::from_le_bytes([stick.bytes[list + 8], stick.bytes[list + 9]]);
    assert!((100..BIOS.1 as u16).contains(&sectors), "{sectors}");
}
