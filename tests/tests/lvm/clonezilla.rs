//! LVM as Clonezilla saves it: metadata as text, each logical volume as a partition. The directory is made as its `ocs-sr`
//! makes it, which itself needs device-mapper.

use std::fs;
use std::path::{Path, PathBuf};

use ezio_tests::loop_deploy::{output, run, text};
use ezio_tests::loop_device::Loop;
use ezio_tests::programs;

use crate::bench::*;

/// Makes what `ocs-sr` would save of a golden disk.
fn saved(bench: &Bench, golden: &Path) -> PathBuf {
    let image = bench.path("clonezilla");
    fs::create_dir(&image).unwrap();
    let put = |name: &str, content: &str| fs::write(image.join(name), content).unwrap();
    let volume = Loop::new(golden, VOLUME, 600 * MIB).unwrap();
    let uuid = Bench::lvm(&volume.0, &["pvs", "--noheadings", "-o", "pv_uuid"]);
    put("disk", "sda\n");
    put("parts", "sda2\n");
    put(
        "sda-pt.sf",
        &output("/usr/sbin/sfdisk", &["--dump", text(golden)])
            .replace(&format!("{}", golden.display()), "/dev/sda"),
    );
    put("lvm_vg_dev.list", &format!("vg0 /dev/sda2 {}\n", uuid.trim()));
    put("lvm_logv.list", "/dev/vg0/root  SGI XFS filesystem data\n/dev/vg0/swap  Linux/i386 swap file\n");
    put("swappt-vg0-swap.info", &format!("UUID=\"{UUID}\"\nLABEL=\"SWAP\"\n"));
    Bench::lvm(&volume.0, &["vgcfgbackup", "-f", text(&image.join("lvm_vg0.conf")), "vg0"]);
    let root = Loop::new(golden, VOLUME + FIRST, ROOT * EXTENT).unwrap();
    let file = image.join("vg0-root.xfs-ptcl-img.zst.aa");
    output(
        "/bin/bash",
        &["-c", "partclone.xfs -c -q -L /dev/null -s $0 -o - | zstd -q >$1", &root.0, text(&file)],
    );
    image
}

/// Imports; gives whether it succeeded, and what it said.
fn import(image: &Path, output: &Path) -> (bool, String) {
    let builder = programs::find("image-builder").unwrap();
    let out = run(text(&builder), &["import", "--no-progress", text(image), "-o", text(output)]);
    (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn a_saved_group_becomes_a_physical_volume_with_the_same_ids() {
    let bench = Bench::new();
    let golden = bench.golden(&["/usr/sbin/mkfs.xfs", "-q"], &[]);
    let saved = saved(&bench, &golden);
    let imported = bench.path("imported");
    let (good, said) = import(&saved, &imported);
    assert!(good, "{said}");
    let builder = programs::find("image-builder").unwrap();
    output(text(&builder), &["verify", text(&imported)]);
    let shown = output(text(&builder), &["show", text(&imported)]);
    assert!(shown.lines().any(|line| line.contains("  root") && line.contains("xfs")), "{shown}");

    let raw = bench.path("raw.img");
    output(text(&builder), &["export", "--no-progress", text(&imported), "--raw", text(&raw)]);
    let kept = [&golden, &raw].map(|disk| {
        let volume = Loop::new(disk, VOLUME, 600 * MIB).unwrap();
        Bench::lvm(&volume.0, &["pvck", &volume.0]);
        Bench::lvm(&volume.0, &["vgck", "vg0"]);
        let pvs = [
            "pvs",
            "--noheadings",
            "-o",
            "pv_uuid,vg_uuid,vg_name,vg_seqno,dev_size,pe_start,pv_pe_count,pv_free,pv_mda_size",
        ];
        let lvs = ["lvs", "--noheadings", "-o", "lv_name,lv_uuid,lv_size,seg_pe_ranges"];
        let swap = Loop::new(disk, VOLUME + FIRST + ROOT * EXTENT, SWAP * EXTENT).unwrap();
        let blkid = ["-p", "-o", "value", "-s", "LABEL", "-s", "UUID", "-s", "TYPE", &swap.0];
        let name = |said: String| said.replace(&volume.0, "");
        [
            name(Bench::lvm(&volume.0, &pvs)),
            name(Bench::lvm(&volume.0, &lvs)),
            output("/usr/sbin/blkid", &blkid),
        ]
    });
    assert_eq!(kept[0], kept[1]);
    // And back: a physical volume is a plain copy, for there is no partclone of LVM.
    let exported = bench.path("exported");
    output(text(&builder), &["export", "--no-progress", text(&imported), "--clonezilla", text(&exported)]);
    let same = "zstd -dcq $0/sda2.dd-ptcl-img.zst.aa | cmp - <(tail -c +$(($2 + 1)) $1 | head -c $3)";
    let (begin, length) = (VOLUME.to_string(), (600 * MIB).to_string());
    output("/bin/bash", &["-o", "pipefail", "-c", same, text(&exported), text(&raw), &begin, &length]);
    // LVM goes on from there.
    let volume = Loop::new(&raw, VOLUME, 600 * MIB).unwrap();
    Bench::lvm(&volume.0, &["vgchange", "--addtag", "deployed", "vg0"]);
    Bench::lvm(&volume.0, &["pvck", &volume.0]);
    drop(volume);
    let root = Loop::new(&raw, VOLUME + FIRST, ROOT * EXTENT).unwrap();
    output("/usr/sbin/xfs_repair", &["-n", &root.0]);
    bench.mounted(&root.0, |mount| {
        assert!(fs::read(mount.join("noise")).unwrap() == fs::read(bench.path("noise")).unwrap());
    });
}

#[test]
fn what_of_lvm_is_not_understood_or_missing_is_refused() {
    let bench = Bench::new();
    let golden = bench.golden(&["/usr/sbin/mkfs.xfs", "-q"], &[]);
    let saved = saved(&bench, &golden);
    let conf = fs::read_to_string(saved.join("lvm_vg0.conf")).unwrap();
    let list = fs::read_to_string(saved.join("lvm_vg_dev.list")).unwrap();
    let refused = |word: &str| {
        let (good, said) = import(&saved, &bench.path("imported"));
        assert!(!good && said.contains(word), "{said}");
        assert!(!bench.path("imported").exists());
    };
    fs::write(saved.join("lvm_vg0.conf"), conf.replacen("type = \"striped\"", "type = \"thin\"", 1)).unwrap();
    refused("vg0/root is not linear");
    fs::write(saved.join("lvm_vg0.conf"), &conf[..conf.len() / 2]).unwrap();
    refused("lvm_vg0.conf does not tell of sda2 what LVM needs");
    fs::write(saved.join("lvm_vg0.conf"), &conf).unwrap();
    fs::write(saved.join("lvm_vg_dev.list"), list.replace('-', "+")).unwrap();
    refused("lvm_vg0.conf does not tell of sda2 what LVM needs");
    fs::write(saved.join("lvm_vg_dev.list"), list).unwrap();
    let file = saved.join("vg0-root.xfs-ptcl-img.zst.aa");
    let stream = fs::read(&file).unwrap();
    fs::write(&file, &stream[..stream.len() / 2]).unwrap();
    refused("vg0-root.xfs-ptcl-img.zst.aa");
    fs::remove_file(&file).unwrap();
    refused("vg0/root was saved, and no file of it is there");
}
