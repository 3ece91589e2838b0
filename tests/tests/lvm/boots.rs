//! A machine whose root is a logical volume starts after a deployment: Debian's kernel finds the volume by LVM's own tools and
//! device-mapper, and what runs from it says so. How a loader starts a kernel, others show.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ezio_tests::loop_deploy::{deploy, output, text};
use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::Process;
use ezio_tests::programs;
use ezio_tests::vm::material;

use crate::bench::*;

/// From power-on to power-off, on a slow computer without KVM.
const LIMIT: Duration = Duration::from_secs(900);

/// What the root's first program does.
const SYSTEM: &str = r#"#!/bin/busybox sh
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t devtmpfs none /dev
while read -r device folder rest; do [ "$folder" = / ] && root=$device; done </proc/mounts
echo "EZIO-RUNNING host=$(/bin/busybox cat /etc/hostname) root=$root" >/dev/console
/bin/busybox poweroff -f
"#;

/// What starts it.
const INITRAMFS: &str = r#"#!/bin/busybox sh
export PATH=/bin LVM_SYSTEM_DIR=/run LD_LIBRARY_PATH=/lib
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev; mount -t proc none /proc; mount -t sysfs none /sys; mount -t tmpfs none /run
for module in crc32c_generic crc16 mbcache jbd2 ext4 dm-mod virtio_blk; do
    [ ! -e /modules/$module.ko ] || insmod /modules/$module.ko
done
lvm vgchange --activate y --config 'devices/use_devicesfile=0 activation/udev_sync=0 activation/udev_rules=0' vg0
mount -t ext4 /dev/vg0/root /new
exec switch_root /new /sbin/init
"#;

/// Packs what starts the system; LVM's program is this machine's, with the libraries that it names.
fn initramfs(bench: &Bench, chain: &Path) -> PathBuf {
    let (folder, file) = (bench.path("initramfs"), bench.path("initrd.img"));
    for path in ["bin", "lib", "lib64", "modules", "dev", "proc", "sys", "run", "new"] {
        fs::create_dir_all(folder.join(path)).unwrap();
    }
    fs::write(folder.join("init"), INITRAMFS).unwrap();
    let pack = "cp $1/bin/busybox bin; cp /usr/sbin/lvm bin; chmod 755 init
        cp $(ldd bin/lvm | grep -o '/[^ ]*') lib; cp lib/ld-linux-* lib64
        for module in crc32c_generic crc16 mbcache jbd2 ext4 dm-mod virtio_blk; do
            find $1/usr/lib/modules -name $module.ko.xz -exec sh -c 'xz -dc $0 >modules/$1.ko' {} $module ';'
        done
        find . | cpio --create --format=newc --quiet >$2";
    output("/bin/bash", &["-euc", &format!("cd $0\n{pack}"), text(&folder), text(chain), text(&file)]);
    file
}

#[test]
fn a_machine_starts_from_its_logical_volume() {
    programs::need(&["qemu-system-x86_64", "cpio", "xz"]).unwrap();
    let chain = material::chain().unwrap();
    let bench = Bench::new();
    let golden = bench.golden(&["/usr/sbin/mkfs.ext4", "-q"], &[]);
    bench.mounted(&bench.root(&golden).0, |root| {
        for path in ["bin", "sbin", "etc", "dev", "proc", "sys"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        fs::copy(chain.join("bin/busybox"), root.join("bin/busybox")).unwrap();
        symlink("/bin/start", root.join("sbin/init")).unwrap();
        fs::write(root.join("bin/start"), SYSTEM).unwrap();
        fs::write(root.join("etc/fstab"), "/dev/vg0/root / ext4 defaults 0 1\n").unwrap();
        fs::write(root.join("etc/hostname"), "golden\n").unwrap();
        output("/bin/chmod", &["755", text(&root.join("bin/start"))]);
    });
    let server = bench.serve_with(&golden, "[identity]\nhostname = \"lab-{{counter:2}}\"\n");
    let disk = bench.path("target.img");
    let target = Loop::blank(&disk, 640 * MIB).unwrap();
    let (good, said) = deploy(&server, &[&target.0]);
    assert!(good, "{said}");
    drop(target);

    let mut files = fs::read_dir(chain.join("boot")).unwrap().map(|entry| entry.unwrap().path());
    let kernel = files.find(|path| text(path).contains("/vmlinuz-")).expect("a kernel");
    let log = bench.path("console.log");
    let _turn = material::turn().unwrap();
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args([
        "-machine",
        "q35,accel=tcg",
        "-m",
        "512",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-no-reboot",
    ])
    .args(["-kernel", text(&kernel), "-initrd", text(&initramfs(&bench, &chain))])
    .args(["-append", "console=ttyS0 quiet panic=-1 no_timer_check"])
    .args(["-drive", &format!("file={},format=raw,if=virtio", text(&disk))])
    .stdout(Stdio::from(File::create(&log).unwrap()));
    let ended = Process::start(&mut qemu).unwrap().wait(LIMIT);
    let said = fs::read_to_string(&log).unwrap();
    assert!(ended.is_ok_and(|status| status.success()), "{said}");
    assert!(said.contains("EZIO-RUNNING host=lab-01 root=/dev/vg0/root"), "{said}");
}
