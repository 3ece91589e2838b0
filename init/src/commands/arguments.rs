//! The command line of a person (PID 1 has the kernel's).

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use ezio_image::conf::units::parse_size;
use ezio_image::conf::{Grow, SeedPolicy};
use lexopt::Arg::{Long, Short, Value};
use lexopt::{Parser, ValueExt};

/// What to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// `write SOURCE TARGET`
    Write(Box<WriteOptions>),
    /// `prove`
    Prove(ProveOptions),
    /// `plan`
    Plan(PlanOptions),
    /// `deploy`
    Deploy(DeployOptions),
    /// `--help`, of the program or of one command.
    Help(&'static str),
    /// `--version`
    Version,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgressMode {
    /// One JSON object a line, on standard output.
    Json,
    /// Drawn in place, on standard error.
    Bar,
    /// A line now and then, on standard error.
    Plain,
    /// Not at all.
    None,
}

/// `write`
#[derive(Debug, PartialEq)]
pub(crate) struct WriteOptions {
    pub(crate) source: String,
    pub(crate) target: PathBuf,
    /// None: a bar on a terminal, else lines.
    pub(crate) progress: Option<ProgressMode>,
    pub(crate) seed: SeedPolicy,
    pub(crate) peers: Vec<SocketAddr>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) limit_up: Option<u64>,
    pub(crate) limit_down: Option<u64>,
    pub(crate) dry_run: bool,
    pub(crate) force: bool,
    /// Of the image directory.
    pub(crate) partition: Option<String>,
    /// Make the partition as long as the image meanwhile.
    pub(crate) exact: bool,
    /// Ask nothing.
    pub(crate) yes: bool,
}

/// `prove`
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ProveOptions {
    /// Image and targets, where they are named; else `conf` and disks.
    pub(crate) image: Option<String>,
    pub(crate) targets: Vec<PathBuf>,
    /// Of the image: what the target, a partition or a file, holds.
    pub(crate) partition: Option<String>,
    pub(crate) conf: Option<String>,
    pub(crate) group: Option<String>,
    /// Instead of what ezio.conf says.
    pub(crate) grow: Option<Grow>,
    pub(crate) progress: Option<ProgressMode>,
}

/// `plan`
#[derive(Debug, Default, PartialEq)]
pub(crate) struct PlanOptions {
    pub(crate) conf: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) disks: Vec<PathBuf>,
    pub(crate) group: Option<String>,
    /// Instead of what ezio.conf says.
    pub(crate) grow: Option<Grow>,
}

/// `deploy`
#[derive(Debug, PartialEq)]
pub(crate) struct DeployOptions {
    pub(crate) conf: String,
    pub(crate) disks: Vec<PathBuf>,
    pub(crate) group: Option<String>,
    pub(crate) report: Option<String>,
    /// Instead of what ezio.conf says.
    pub(crate) grow: Option<Grow>,
    /// Folder that stands for `/` where the machine is looked at (`sys`, `proc`, `dev`).
    pub(crate) root: PathBuf,
    /// Ask nothing.
    pub(crate) yes: bool,
}

pub(crate) const USAGE: &str = "\
ezio-init: writes images to disks, many machines at once

Usage:
  ezio-init write SOURCE TARGET [options]    write a torrent, a file or a partition of an image to a disk, a
                                             partition or a file
  ezio-init prove IMAGE TARGET... [options]  read what an image says from disks, past the system's memory, and
                                             say what is wrong; touch nothing
  ezio-init plan [options]                   show what would be done to which disk; touch nothing
  ezio-init deploy --conf FILE|URL --disk DEVICE
                                             deploy as a netbooted machine does, to a disk named here
  ezio-init COMMAND --help                   all about one command
  ezio-init --version

As PID 1 of a netbooted machine it takes its orders from the kernel command line (ezio.conf=URL or
ezio.server=ADDRESS, ezio.group=NAME, ezio.report=URL, ezio.end=reboot|poweroff|shell|hold, BOOTIF=, ip=,
console=; on a stick ezio.stick=GUID names the disk that it is).
Anywhere else it never chooses a disk: name one.
";

pub(crate) const WRITE_HELP: &str = "\
ezio-init write SOURCE TARGET: write the content of a torrent, a file or an image straight to its target

  SOURCE   a .torrent file, its http:// or tftp:// URL, or a magnet link; an image directory (of which one
           partition is written); or any other file: the bytes of a partition or a disk (.img, .dd, .cdr)
  TARGET   a disk, a partition, or a file (made, or grown, to the size that is needed; sparse)

A torrent with one file is a raw image, written from offset 0; one whose files are named by offsets in
hexadecimal (partclone, Clonezilla, image-builder) is written at those offsets; of what lies between
them, only places where signatures of older file systems or RAIDs may lie are cleared.
Whatever is on the target is overwritten. At a terminal it asks before it does that to a disk or a partition;
elsewhere it wants --yes. A target that is mounted or otherwise in use is refused.

Options:
  --progress json|bar|plain|none   json: one object a line on standard output, {\"event\":\"progress\",...}
                                   up to twice a second, {\"event\":\"complete\",...} once everything is
                                   verified and synced; default: bar on a terminal, else plain
  --seed POLICY                    how long to serve others afterwards: none (default), forever, or bounds
                                   joined by commas, the first that is reached ends it: ratio=1.5,
                                   idle=15m, time=1h
  --peer ADDR:PORT                 a peer to ask besides those of the tracker; repeatable
  --listen ADDR:PORT               where to take connections (default: any address, a free port)
  --limit-up BYTES, --limit-down BYTES
                                   at most so many bytes a second (1000000, 1M, 1MiB, ...)
  --partition NAME                 of an image directory with several: the one to write (sda1)
  --exact                          the target is a partition: it is made just as long as the image while that
                                   is written, and then what it was; the file system is then made as long as
                                   its partition (ext2/3/4, XFS, btrfs, NTFS). Its neighbours stay untouched
  --yes                            ask nothing: all on the target may be lost
  --dry-run                        check source and target, say what would be done, write nothing
  --force                          write although the target is in use (never what is mounted)

Exit status: 0 when everything is verified and synced, 1 on a failure, 2 for a wrong call, 128 + the
signal's number when stopped before it was complete.
";

pub(crate) const PROVE_HELP: &str = "\
ezio-init prove IMAGE TARGET...: is on these disks what the image says? Nothing is written
ezio-init prove --conf FILE|URL --disk DEVICE...: the same of what an ezio.conf has deployed to this machine's disks

  IMAGE    an image directory, its http:// or tftp:// URL, or a .torrent; its data is not needed
  TARGET   a disk, a partition, or a file that stands for one

Every used byte, table, boot code and swap signature is read from the medium and held against the hashes of
the image. Each place that differs is named, by disk, byte, partition and piece (the first of them, and how
many there are).

What it is for: a disk that was just written, by whatever program, or one that was put away and is to be
trusted. A deployment proves its disks itself, and only then changes what makes the clone differ from the
next; that, and what a system writes that has started, differs here as well, and is reported. Known, and
told apart: boot sectors that say where their volume lies on this disk, and new ids of a partition table
(regenerate = disk-guid). Not known: files and ids of identity, file systems that were made longer.

Options:
  --partition NAME   the one of the image that the target, a partition or a file, holds (sda1)
  --grow WHAT        as grow = in ezio.conf when the disk was written: partitions lie accordingly
  --conf FILE|URL    the ezio.conf, instead of IMAGE
  --disk DEVICE      with --conf: a disk; repeatable
  --group NAME       with --conf: as ezio.group= on the kernel command line
  --progress json|bar|plain|none   json: one object a line on standard output: {\"event\":\"progress\",...},
                     {\"event\":\"wrong\",\"disk\":...,\"offset\":...,\"partition\":...,\"piece\":...,\"why\":...} and
                     at the end {\"event\":\"proof\",\"total_bytes\":...,\"wrong\":N}; default as for write

Exit status: 0 when all fits, 1 when something differs or cannot be read, 2 for a wrong call.
";

pub(crate) const PLAN_HELP: &str = "\
ezio-init plan: show what would be done to which disk; nothing is written

Options:
  --conf FILE|URL    the ezio.conf that holds the orders (of this machine)
  --image DIR|URL    an image directory, or a .torrent, instead of the one that ezio.conf names
  --disk DEVICE      consider this disk only; repeatable
  --group NAME       as ezio.group= on the kernel command line
  --grow WHAT        as grow = in ezio.conf, instead of that
At least one of --conf and --image is needed.
";

pub(crate) const DEPLOY_HELP: &str = "\
ezio-init deploy: what a netbooted machine does once it has a network, on this running system

The same steps: fetch ezio.conf and the image, check, hooks, clear, write, verify, sync, partition table
and boot code, reports, seeding, identity. Without the end action: the program ends instead.
At a terminal it asks before anything is erased; elsewhere it wants --yes.

Options:
  --conf FILE|URL    the ezio.conf (needed)
  --disk DEVICE      a disk to write (needed; repeatable with all = true or [[disk]]); the rules of ezio.conf hold too
  --group NAME       as ezio.group= on the kernel command line
  --report URL       as ezio.report=
  --grow WHAT        what fills a larger disk, instead of what ezio.conf says: last, the name of a partition in
                     the image, or none
  --yes              ask nothing: all on the disks may be lost
  --root DIR         look at sys, proc and dev below DIR instead of /
";

/// Why a call is refused.
#[derive(Debug)]
pub(crate) struct UsageError {
    pub(crate) message: String,
    /// Usage of what was called.
    pub(crate) usage: &'static str,
}

/// Reads the arguments behind the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = Parser::from_args(arguments);
    let refuse = |message: String| UsageError { message, usage: USAGE };
    match parser.next().map_err(|e| refuse(e.to_string()))? {
        None => Err(refuse("not PID 1, and no command with an explicit target".into())),
        Some(Long("help") | Short('h')) => Ok(Command::Help(USAGE)),
        Some(Long("version") | Short('V')) => Ok(Command::Version),
        Some(Value(name)) => {
            let (usage, parsed) = match name.to_str() {
                Some("write") => (WRITE_HELP, parse_write(&mut parser)),
                Some("prove") => (PROVE_HELP, parse_prove(&mut parser)),
                Some("plan") => (PLAN_HELP, parse_plan(&mut parser)),
                Some("deploy") => (DEPLOY_HELP, parse_deploy(&mut parser)),
                _ => return Err(refuse(format!("no such command: {}", name.to_string_lossy()))),
            };
            let parsed = parsed.map_err(|e| UsageError { message: e.to_string(), usage })?;
            Ok(parsed.unwrap_or(Command::Help(usage)))
        }
        Some(other) => Err(refuse(other.unexpected().to_string())),
    }
}

/// `None` where help is asked for.
type Parsed = Result<Option<Command>, lexopt::Error>;

fn parse_write(parser: &mut Parser) -> Parsed {
    let mut operands = Vec::new();
    let mut options = WriteOptions {
        source: String::new(),
        target: PathBuf::new(),
        progress: None,
        seed: SeedPolicy::NONE,
        peers: Vec::new(),
        listen: None,
        limit_up: None,
        limit_down: None,
        dry_run: false,
        force: false,
        partition: None,
        exact: false,
        yes: false,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Value(operand) if operands.len() < 2 => operands.push(operand),
            Long("progress") => options.progress = Some(parser.value()?.parse_with(progress_mode)?),
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("peer") => options.peers.push(parser.value()?.parse()?),
            Long("listen") => options.listen = Some(parser.value()?.parse()?),
            Long("limit-up") => options.limit_up = Some(parser.value()?.parse_with(rate)?),
            Long("limit-down") => options.limit_down = Some(parser.value()?.parse_with(rate)?),
            Long("dry-run") => options.dry_run = true,
            Long("force") => options.force = true,
            Long("partition") => options.partition = Some(parser.value()?.string()?),
            Long("exact") => options.exact = true,
            Long("yes") => options.yes = true,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    let mut operands = operands.into_iter();
    let (Some(source), Some(target)) = (operands.next(), operands.next()) else {
        return Err("SOURCE and TARGET are needed".into());
    };
    (options.source, options.target) = (source.string()?, target.into());
    Ok(Some(Command::Write(Box::new(options))))
}

fn parse_prove(parser: &mut Parser) -> Parsed {
    let mut options = ProveOptions::default();
    let mut disks = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(image) if options.image.is_none() => options.image = Some(image.string()?),
            Value(target) => options.targets.push(target.into()),
            Long("partition") => options.partition = Some(parser.value()?.string()?),
            Long("conf") => options.conf = Some(parser.value()?.string()?),
            Long("disk") => disks.push(parser.value()?.into()),
            Long("group") => options.group = Some(parser.value()?.string()?),
            Long("grow") => options.grow = Some(parser.value()?.parse()?),
            Long("progress") => options.progress = Some(parser.value()?.parse_with(progress_mode)?),
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    match (&options.image, &options.conf) {
        (Some(_), None) if disks.is_empty() && options.group.is_none() && !options.targets.is_empty() => {}
        (None, Some(_)) if options.partition.is_none() && !disks.is_empty() => options.targets = disks,
        _ => return Err("IMAGE and a TARGET are needed, or --conf and --disk".into()),
    }
    Ok(Some(Command::Prove(options)))
}

fn parse_plan(parser: &mut Parser) -> Parsed {
    let mut options = PlanOptions::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("conf") => options.conf = Some(parser.value()?.string()?),
            Long("image") => options.image = Some(parser.value()?.string()?),
            Long("disk") => options.disks.push(parser.value()?.into()),
            Long("group") => options.group = Some(parser.value()?.string()?),
            Long("grow") => options.grow = Some(parser.value()?.parse()?),
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if options.conf.is_none() && options.image.is_none() {
        return Err("--conf or --image is needed".into());
    }
    Ok(Some(Command::Plan(options)))
}

fn parse_deploy(parser: &mut Parser) -> Parsed {
    let (mut conf, mut disks, mut group, mut report) = (None, Vec::new(), None, None);
    let (mut root, mut grow, mut yes) = (PathBuf::from("/"), None, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("conf") => conf = Some(parser.value()?.string()?),
            Long("disk") => disks.push(parser.value()?.into()),
            Long("group") => group = Some(parser.value()?.string()?),
            Long("report") => report = Some(parser.value()?.string()?),
            Long("grow") => grow = Some(parser.value()?.parse()?),
            Long("root") => root = parser.value()?.into(),
            Long("yes") => yes = true,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    let Some(conf) = conf else { return Err("--conf is needed".into()) };
    if disks.is_empty() {
        return Err("--disk is needed: no disk is ever chosen on a running system".into());
    }
    Ok(Some(Command::Deploy(DeployOptions { conf, disks, group, report, grow, root, yes })))
}

fn progress_mode(text: &str) -> Result<ProgressMode, String> {
    match text {
        "json" => Ok(ProgressMode::Json),
        "bar" => Ok(ProgressMode::Bar),
        "plain" => Ok(ProgressMode::Plain),
        "none" => Ok(ProgressMode::None),
        _ => Err("not one of json, bar, plain, none".into()),
    }
}

/// Bytes a second: a plain number, or one with a unit.
fn rate(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        0 => Err("a limit of 0 would never end".into()),
        rate => Ok(rate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn call(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn write_takes_all_its_options() {
        let line = "write a.torrent /dev/sdx --progress json --seed ratio=1.5,idle=15m --peer 10.0.0.1:6881 \
                    --peer 10.0.0.2:6881 --listen 0.0.0.0:7000 --limit-up 1000 --limit-down 2M --dry-run";
        let Command::Write(options) = call(line).unwrap() else { panic!() };
        assert_eq!((options.source.as_str(), options.target.to_str()), ("a.torrent", Some("/dev/sdx")));
        assert_eq!(options.progress, Some(ProgressMode::Json));
        assert_eq!((options.seed.ratio, options.seed.idle), (Some(1.5), Some(Duration::from_secs(900))));
        assert_eq!(options.peers.len(), 2);
        assert_eq!(options.limit_up, Some(1000));
        assert!(options.dry_run && !options.force && !options.exact && !options.yes);
        let Command::Write(options) = call("write image /dev/sdx2 --partition sda1 --exact --yes").unwrap()
        else {
            panic!()
        };
        assert!(options.exact && options.yes && options.partition.as_deref() == Some("sda1"));
    }

    #[test]
    fn never_without_an_explicit_target() {
        for line in [
            "",
            "write",
            "prove",
            "prove image",
            "prove --conf x",
            "prove image --conf x --disk y",
            "write a.torrent",
            "deploy --conf x",
            "deploy --disk /dev/sda",
            "plan",
            "run",
        ] {
            let error = call(line).unwrap_err();
            assert!(error.usage.contains("ezio-init"), "{line}");
        }
        assert_eq!(call("").unwrap_err().message, "not PID 1, and no command with an explicit target");
    }

    #[test]
    fn wrong_values_are_named() {
        for (line, word) in [
            ("write a b --seed sometimes", "sometimes"),
            ("write a b --peer 10.0.0.1", "10.0.0.1"),
            ("write a b --limit-up 0", "never end"),
            ("write a b --progress xml", "xml"),
            ("write a b c", "c"),
            ("deploy --conf x --disk y --grow /dev/sda2", "name of a partition in the image"),
            ("write a b --what", "--what"),
        ] {
            let error = call(line).unwrap_err();
            assert!(error.message.contains(word), "{line}: {}", error.message);
        }
    }

    #[test]
    fn help_of_each_command() {
        assert_eq!(call("--help").unwrap(), Command::Help(USAGE));
        assert_eq!(call("write --help").unwrap(), Command::Help(WRITE_HELP));
        assert_eq!(call("prove --help").unwrap(), Command::Help(PROVE_HELP));
        assert_eq!(call("plan -h").unwrap(), Command::Help(PLAN_HELP));
        assert_eq!(call("deploy --help").unwrap(), Command::Help(DEPLOY_HELP));
        assert_eq!(call("--version").unwrap(), Command::Version);
    }
}
