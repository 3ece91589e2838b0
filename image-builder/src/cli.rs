//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ezio_contract::Arch;

use crate::store_args::StoreArgs;

/// Captures golden disks into images, checks them, and packs the kernel and initrd that machines
/// boot from the network to receive them.
#[derive(Debug, Parser)]
#[command(name = "image-builder", version, max_term_width = 100, after_long_help = EXIT_STATUS)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_STATUS: &str = "\
Exit status:
  0  done (verify: the image is whole)
  1  it could not be done (verify: the image is damaged); the reason is on stderr
  2  the command line was wrong
  130  stopped by Ctrl-C; nothing that looks complete is left";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    // Their help is that of their arguments, below.
    Capture(CaptureArgs),
    Import(ImportArgs),
    Export(ExportArgs),
    Shrink(ShrinkArgs),
    Show(ShowArgs),
    Verify(VerifyArgs),
    Netboot(Box<NetbootArgs>),
    /// Write man pages and shell completions into a folder, for packages
    #[command(hide = true)]
    Manual {
        /// Folder to write them into
        folder: PathBuf,
    },
}

/// Capture disks, a disk image file or a partition into an image directory
///
/// Captures SOURCE into the image directory DIR: the partition table, the boot code and what lies
/// between them, and of each partition only the blocks in use, with a torrent for each.
///
/// SOURCE is a whole disk (/dev/sda), a partition (/dev/sda1, /dev/vg/lv), a disk image file, or a file
/// with the content of one partition. It is only read. It must not be in use: boot the golden machine
/// from something else, or capture it as a virtual machine's disk file. Reading block devices, and the
/// partitions inside an image file, needs root.
///
/// Several whole disks of one machine become one image: DIR has an image directory for each, named after the
/// disk (DIR/sda, DIR/sdb; files are called so in their order), and a list of them. Machines give each to one
/// of their disks; each can also be named alone.
///
/// partclone tells which blocks of a file system are in use (ext2/3/4, XFS, btrfs, NTFS, FAT, exFAT,
/// F2FS, HFS+ and more); a partition that it does not know is copied whole. Swap is not copied: machines
/// make their own with the same UUID and label.
///
/// The data of each partition is one file of zstd frames (DIR/sda1.zst), which zstd -d unpacks as well. Those
/// who want to seed it by another BitTorrent client take --store files, or export --torrent-files later.
///
/// DIR appears under its name when all is written; until then the data lies beside it in
/// DIR.partial-XXXXXX, which an error or Ctrl-C removes.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  image-builder capture /dev/sda -o /srv/images/classroom
  image-builder capture /dev/sda /dev/sdb -o /srv/images/server
  image-builder capture golden.img -o /srv/images/lab2 --name lab2
  image-builder capture /dev/nvme0n1p3 -o /srv/images/windows-c
  image-builder capture --raw appliance.img -o /srv/images/appliance")]
pub(crate) struct CaptureArgs {
    /// Disk, partition, or file to capture; several disks become one image
    #[arg(required = true, value_name = "SOURCE")]
    pub(crate) sources: Vec<PathBuf>,
    /// Image directory to write; it must not exist (but see --force)
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Name of the image; for a single partition also the name of its torrent [default: DIR's last
    /// component, and the partition's own name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Copy everything, used or not, as one file named "disk" (for a partition: by its name)
    ///
    /// Blocks of zeros take no room in the image, yet are sent and written.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Architecture of the machines that the image is for: amd64 or arm64; others refuse it [default: by the loaders on
    /// its EFI system partition or its boot code, else that of this machine; it says which]
    #[arg(long, value_name = "ARCH")]
    pub(crate) arch: Option<Arch>,
    /// Length of the sectors of a disk that is an image file: 512 or 4096 [default: what its partition table makes sense with]
    #[arg(long, value_name = "BYTES", value_parser = parse_sector_size)]
    pub(crate) sector_size: Option<u32>,
    /// Capture file systems that are mounted or were not cleanly unmounted, and replace DIR
    ///
    /// What changes while it is read may not fit together afterwards. An image directory of the same
    /// name is replaced when the new one is complete, not before.
    #[arg(long)]
    pub(crate) force: bool,
    /// Length of a piece, a power of two from 16K to 64M (K, M: 1024, 1024²) [default: by the size of
    /// the partition's data, 64K to 4M, for 1000 to 2000 pieces]
    #[arg(long, value_name = "BYTES", value_parser = parse_piece_length)]
    pub(crate) piece_length: Option<u32>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Show no progress
    #[arg(long)]
    pub(crate) no_progress: bool,
    /// Say what would be captured, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Make an image directory of what Clonezilla saved, or of a torrent
///
/// SOURCE is an image directory of Clonezilla (a folder of /home/partimag), of any version that saves by
/// partclone: compressed by any program but lrzip, split or not, of whole disks or of partitions. Nothing
/// is unpacked beside it: each file is read once, checked against partclone's checksums and against
/// MD5SUMS and its like, and written as the image of ezio that a capture of the disk would give. What is
/// damaged or missing is told by file and offset, and nothing is left. What such an image does not keep is
/// said, and stands in the image's notes. Several disks become one image of all (OUT/sda, OUT/sdb).
///
/// Or SOURCE is partclone's BitTorrent form (partclone.FS -T: a folder with torrent.info), or a torrent of
/// EZIO, Clonezilla or ezio with its data beside it. Every piece is checked against its hash. It becomes
/// the image of a partition; a single file with a partition table in it, that of a disk.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  image-builder import /home/partimag/lab-2024-05-01 -o /srv/images/lab
  image-builder import /home/partimag/servers --disk sdb -o /srv/images/data
  image-builder import /home/partimag/lab-2024-05-01 --partition sda3 -o /srv/images/windows-c
  image-builder import sda1.torrent --data /srv/torrents/sda1 --link -o /srv/images/root
  image-builder import hashes/torrent.info --data /dev/sda1 -o /srv/images/root")]
pub(crate) struct ImportArgs {
    /// Image directory of Clonezilla, folder with torrent.info, or torrent
    #[arg(value_name = "SOURCE")]
    pub(crate) source: PathBuf,
    /// Of a torrent: folder of run files, file, or device with its data [default: beside it]
    #[arg(long, value_name = "PATH", conflicts_with_all = ["disk", "partition"])]
    pub(crate) data: Option<PathBuf>,
    /// Of a torrent: share its files by hard links instead of a second copy
    ///
    /// Whoever changes them later changes the image, too. It is an image of --store files then.
    #[arg(long, conflicts_with_all = ["disk", "partition", "level"])]
    pub(crate) link: bool,
    /// Image directory to write; it must not exist (but see --force)
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Name of the image [default: OUT's last component]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Import this disk alone ("sda")
    #[arg(long, value_name = "DISK", conflicts_with = "partition")]
    pub(crate) disk: Option<String>,
    /// Import this partition alone ("sda1"), for a partition of the machines [default for an image of one partition]
    #[arg(long, value_name = "PARTITION")]
    pub(crate) partition: Option<String>,
    /// Architecture of the machines that the image is for: amd64 or arm64 [default: as capture finds it]
    #[arg(long, value_name = "ARCH")]
    pub(crate) arch: Option<Arch>,
    /// Replace OUT
    #[arg(long)]
    pub(crate) force: bool,
    /// Length of a piece, a power of two from 16K to 64M [default: as capture chooses it]
    #[arg(long, value_name = "BYTES", value_parser = parse_piece_length)]
    pub(crate) piece_length: Option<u32>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Show no progress
    #[arg(long)]
    pub(crate) no_progress: bool,
    /// Say what would be imported, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Make an image that fits a smaller disk
///
/// Makes a smaller image of an image: the file system of one partition (ext2/3/4, NTFS or btrfs, the latter
/// as root; XFS cannot be made smaller by anything) is unpacked into a sparse file beside OUT, made shorter
/// by its own tools (resize2fs, ntfsresize, btrfs), checked, and captured again. What lies behind its partition
/// moves up, and the table with it. Neither IMAGE nor the disk that it came from is touched.
///
/// Deployed with grow = "last" in ezio.conf, the image then fills disks of any size that it fits on.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  image-builder shrink /srv/images/lab -o /srv/images/lab-small
  image-builder shrink /srv/images/windows -o /srv/images/windows-60 --partition sda3 --to 60GiB")]
pub(crate) struct ShrinkArgs {
    /// Image directory
    pub(crate) image: PathBuf,
    /// Image directory to write; it must not exist (but see --force)
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Partition of the image that becomes smaller [default: the largest that can]
    #[arg(long, value_name = "P")]
    pub(crate) partition: Option<String>,
    /// How large its file system is to be (60GiB, 64G, ...) [default: as small as it goes]
    #[arg(long, value_name = "SIZE", value_parser = ezio_image::conf::units::parse_size, conflicts_with = "minimum")]
    pub(crate) to: Option<u64>,
    /// As small as it goes; that is the default
    #[arg(long)]
    pub(crate) minimum: bool,
    /// Replace OUT when the new image is complete
    #[arg(long)]
    pub(crate) force: bool,
    /// Show no progress
    #[arg(long)]
    pub(crate) no_progress: bool,
}

/// Write an image as a disk file, for Clonezilla, or for BitTorrent clients
///
/// Writes what is in an image directory in the form of others: a whole disk as a sparse file, just as it
/// would be after a deployment, for virtual machines; an image directory that Clonezilla restores; or
/// torrents with their files, named by offsets, that any BitTorrent client seeds. When something goes
/// wrong nothing is left. The image is checked first; its data is read as it is (see verify).
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  image-builder export /srv/images/lab --raw lab.img
  image-builder export /srv/images/lab --clonezilla /home/partimag/lab
  image-builder export /srv/images/lab --torrent-files /srv/torrents/lab")]
pub(crate) struct ExportArgs {
    /// Image directory
    #[arg(value_name = "IMAGE")]
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) form: ExportForm,
    /// With --torrent-files: hard links instead of a second copy, of an image with --store files
    #[arg(long, requires = "torrent_files")]
    pub(crate) link: bool,
    /// Show no progress
    #[arg(long)]
    pub(crate) no_progress: bool,
}

/// What becomes of an image. It must not exist yet.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ExportForm {
    /// The disk (or partition) as a sparse file, as it would be after a deployment
    #[arg(long, value_name = "FILE")]
    pub(crate) raw: Option<PathBuf>,
    /// An image directory that Clonezilla restores (ocs-sr restoredisk), compressed by zstd
    #[arg(long, value_name = "DIR")]
    pub(crate) clonezilla: Option<PathBuf>,
    /// A torrent a partition, and the files that it names, for any BitTorrent client to seed
    #[arg(long, value_name = "DIR")]
    pub(crate) torrent_files: Option<PathBuf>,
}

/// Show what an image directory holds
///
/// Shows what an image directory holds: where it came from, the disk, its partitions and their data.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Image directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Print one JSON object, in the manifest's terms
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check every byte of an image directory against its checksums
///
/// Checks an image directory: checksums, manifest against torrents, the partition table against the
/// disk and the partitions, and every piece of the data against its hash.
///
/// All that is wrong is told, a line each: what, where, and how far into it. Machines check each piece
/// again when they receive it; this finds damage before a room waits for it.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Image directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Show no progress
    #[arg(long)]
    pub(crate) no_progress: bool,
}

/// Pack kernel, initrd and network boot programs
///
/// Packs what machines boot from the network: DIST/vmlinuz (Debian's kernel as it is, so that its
/// signature holds under Secure Boot), DIST/initrd.img (init and the drivers of wired network cards),
/// DIST/server-cards.img (a second initrd, with the drivers of cards that are in servers, for all but
/// machines that say they are PCs), DIST/modules (drivers of disks, file systems and keyboards, which
/// machines fetch when they have such a device, and check against hashes in the initrd), the signed
/// shim and network GRUB for UEFI, iPXE for BIOS, and netboot.toml, which lists them with their sizes
/// and SHA-256 sums. `make netboot` takes all of them from Debian 13, whatever Debian it runs on.
///
/// The drivers of real PCs, laptops, servers and virtual machines are chosen from the kernel's modules,
/// with all that they need; their load order is worked out here, from the modules themselves (no depmod
/// run is needed), into one index that init reads. Modules keep their signatures. The same inputs give
/// the same bytes.
///
/// With --stick all of it is packed into the image of a USB stick. A person can open it: ezio.txt takes
/// the address of the server, where DHCP does not tell. The stick is never written to, and a machine
/// that is done leaves its disk alone when it is started from it once more. GRUB for BIOS comes from
/// this system's packages grub-pc-bin and grub-common.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Changing the choice of modules (those added by name go into the initrd):
  --modules +ixgbevf,-qla2xxx        one more, one less (what a chosen module needs stays)
  --modules drivers/infiniband/hw/   all modules below a folder of the kernel's
  --modules -all,+virtio_net,+virtio_blk,+virtio_pci   only these and what they need
  --modules @FILE                    such words from a file, blanks or lines between, # comments

Examples:
  image-builder netboot -o dist
  image-builder netboot -o dist --root build/debian/amd64 --init ezio-init
  image-builder netboot -o dist --firmware /lib/firmware --conf ezio.conf --key site.pub
  image-builder netboot -o dist --shell /bin/busybox
  image-builder netboot --stick stick.img --root build/debian/amd64
  image-builder netboot -o dist --dry-run")]
pub(crate) struct NetbootArgs {
    /// Folder to write to; files in it are replaced
    #[arg(short, long, value_name = "DIST", required_unless_present = "stick")]
    pub(crate) output: Option<PathBuf>,
    /// Write the image of a stick instead, for machines that cannot boot from the network: BIOS and UEFI
    /// start from it, with Secure Boot too
    #[arg(long, value_name = "FILE", conflicts_with_all = ["output", "no_boot_programs"])]
    pub(crate) stick: Option<PathBuf>,
    /// Where packages of Debian are unpacked or installed: the kernel and the boot programs come from there
    #[arg(long, value_name = "ROOT", default_value = "/")]
    pub(crate) root: PathBuf,
    /// Kernel image [default: the newest ROOT/boot/vmlinuz-*]
    #[arg(long, value_name = "FILE")]
    pub(crate) kernel: Option<PathBuf>,
    /// The kernel's modules [default: ../lib/modules/VERSION beside the kernel's folder, else
    /// /lib/modules/VERSION]
    #[arg(long, value_name = "DIR")]
    pub(crate) modules_dir: Option<PathBuf>,
    /// Static ezio-init [default: the one installed with this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) init: Option<PathBuf>,
    /// Pack all modules and firmware into the initrd: for sticks, and for servers of your own that do not
    /// serve DIST as it lies below /boot/ARCH/ beside ezio.conf
    #[arg(long)]
    pub(crate) all_in_one: bool,
    /// Add the firmware that the chosen modules name, out of a folder as /lib/firmware: what network
    /// cards may need goes into the initrd, the rest into DIST/firmware
    #[arg(long, value_name = "DIR")]
    pub(crate) firmware: Option<PathBuf>,
    /// Add and remove modules (see below); may be given several times
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    pub(crate) modules: Vec<String>,
    /// Embed a public key (minisign): machines then obey only what is signed with it
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Embed an ezio.conf, so that machines need not fetch one
    #[arg(long, value_name = "FILE")]
    pub(crate) conf: Option<PathBuf>,
    /// Embed a static shell as /bin/sh (busybox-static brings its own tools): for end = "shell", and for
    /// hooks that are more than one program and its arguments
    #[arg(long, value_name = "FILE")]
    pub(crate) shell: Option<PathBuf>,
    /// Folder with shimx64.efi.signed, grubnetx64.efi.signed and undionly.kpxe (for --stick
    /// gcdx64.efi.signed instead of the last two), or those of ARM64 (aa64) [default: where Debian's
    /// shim-signed, grub-efi-amd64-signed and ipxe have them below ROOT]
    #[arg(long, value_name = "DIR")]
    pub(crate) boot_programs: Option<PathBuf>,
    /// Pack kernel and initrd alone
    #[arg(long, conflicts_with = "boot_programs")]
    pub(crate) no_boot_programs: bool,
    /// List the modules that would be packed, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

fn parse_sector_size(text: &str) -> Result<u32, String> {
    match text {
        "512" => Ok(512),
        "4096" => Ok(4096),
        _ => Err("neither 512 nor 4096".to_owned()),
    }
}

fn parse_piece_length(text: &str) -> Result<u32, String> {
    use ezio_image::metainfo::{MAX_PIECE_LENGTH, MIN_PIECE_LENGTH};
    let (digits, unit) = match text.to_ascii_uppercase() {
        t if t.ends_with('K') => (t.trim_end_matches('K').to_owned(), 1 << 10),
        t if t.ends_with('M') => (t.trim_end_matches('M').to_owned(), 1 << 20),
        t => (t, 1),
    };
    let length = digits.parse::<u32>().ok().and_then(|n| n.checked_mul(unit));
    length
        .filter(|n| n.is_power_of_two() && (MIN_PIECE_LENGTH..=MAX_PIECE_LENGTH).contains(n))
        .ok_or_else(|| "not a power of two from 16K to 64M".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_summary_and_a_description() {
        for command in Cli::command().get_subcommands().filter(|c| c.get_name() != "help" && !c.is_hide_set())
        {
            let summary = command.get_about().map(ToString::to_string).unwrap();
            let description = command.get_long_about().map(ToString::to_string).unwrap();
            assert!(summary.len() < 80 && description.len() > 2 * summary.len(), "{summary}");
        }
    }

    #[test]
    fn module_changes_may_begin_with_a_hyphen() {
        let cli =
            Cli::try_parse_from(["image-builder", "netboot", "-o", "d", "--modules", "-qla2xxx,+x"]).unwrap();
        let Command::Netboot(args) = cli.command else { unreachable!() };
        assert_eq!(args.modules, ["-qla2xxx,+x"]);
    }

    #[test]
    fn piece_lengths_are_powers_of_two_in_bounds() {
        assert_eq!(parse_piece_length("64K"), Ok(64 << 10));
        assert_eq!(parse_piece_length("4m"), Ok(4 << 20));
        assert_eq!(parse_piece_length("16384"), Ok(16384));
        for bad in ["3M", "8K", "128M", "", "K", "-1", "99999999M"] {
            assert!(parse_piece_length(bad).is_err(), "{bad}");
        }
    }
}
