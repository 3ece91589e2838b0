//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ezio_image::conf::EndAction;

use crate::access::Role;
use crate::fleet::{Group, Meant};
use crate::settings::{DEFAULT_STATE, ServeArgs};
use crate::tls::Fingerprint;

const AFTER_HELP: &str = "\
EXAMPLES
  Beside the DHCP server that the network has (it keeps handing out the addresses):
      ezio-pxe serve /srv/ezio/debian-12 --netboot dist --interface enp3s0

  On a network of its own, handing out addresses too:
      ezio-pxe serve /srv/ezio/debian-12 --netboot dist --interface enp3s0 \\
          --dhcp full --dhcp-range 10.77.0.50-10.77.0.250

  Rooms behind routers too, whose DHCP relays (\"ip helper-address\") name this server, one range a network:
      ezio-pxe serve /srv/ezio/debian-12 --netboot dist --interface enp3s0 --dhcp full \\
          --dhcp-range 10.77.0.50-10.77.0.250 \\
          --dhcp-range 10.78.0.50-10.78.0.250,mask=24,router=10.78.0.1

  As a plain user, for tests: no DHCP, no TFTP, loopback only:
      ezio-pxe serve images/debian-12 --dhcp off --listen 127.0.0.1 --state build/state

  The room, while it runs (as root, or with --state, or from elsewhere with --server and --token), and a machine that is to be deployed once more:
      ezio-pxe status
      ezio-pxe again 52:54:00:12:34:56

  A machine that waits, for its disk holds something (`ezio-pxe status` says what), may overwrite it:
      ezio-pxe approve 52:54:00:12:34:56

SIGNALS
  SIGHUP re-reads the file of --conf; a file with mistakes is reported and the old one kept.
  SIGTERM and SIGINT stop the server cleanly, within ten seconds.

ENVIRONMENT
  EZIO_TOKEN   A token for commands with --server, instead of --token.
  RUST_LOG     What is logged to standard error, such as `debug` or `ezio_pxe::dhcp=debug`; default `info`.

EXIT STATUS
  0 after a clean stop, 1 on an error (which is printed), 2 on a wrong command line.";

/// Deploys a room of machines over the network: DHCP or proxyDHCP, TFTP, HTTP, BitTorrent tracker and seeder, and
/// the view of the room, in one process.
#[derive(Debug, Parser)]
#[command(name = "ezio-pxe", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve images to a room until stopped
    Serve(Box<ServeArgs>),
    /// Show the room of a running server: who is done, working, failed or silent
    Status(StatusArgs),
    /// Show what would be done to each known machine: which image, which disk, what it holds, and why it would wait or refuse
    Plan(StatusArgs),
    /// Have machines deployed again at their next network boot
    ///
    /// A machine that is done boots from its own disk until this is said, so that rooms whose firmware boots from
    /// the network first do not deploy in a loop.
    Again(ActArgs),
    /// Let machines overwrite what their disks hold, and go on
    ///
    /// A machine waits where its disk holds something else than a deployment of this server, where its runs have failed too
    /// often, where it is held, or as --unknown of `serve` says. What is approved is what the machine has found: should a
    /// disk hold something else by then, it waits again. `all` means all that wait, but for those that are held.
    Approve(ActArgs),
    /// Keep machines from being deployed: they start from their own disks until they are approved
    Hold(ActArgs),
    /// End the runs of machines that are in init: they leave all as it is, and restart
    ///
    /// A disk that is being written does not start then: it has no table until all is on it. Where a machine restarts into network boot,
    /// it is deployed from where it was.
    Restart(ActArgs),
    /// End the runs of machines that are in init: they leave all as it is, and are switched off
    Poweroff(ActArgs),
    /// Forget machines, and that their disks were deployed here
    Forget(ActArgs),
    /// Wake machines that are switched off: Wake-on-LAN, to all cards that are known of them
    ///
    /// The firmware of a machine has to have it switched on. Machines behind routers are called in the network that they were last
    /// seen in, where that is one of --dhcp-range, and where their router lets directed broadcasts through.
    Wake(ActArgs),
    /// Print the last lines of a machine's console: what init said on it, and what its kernel warned of
    ///
    /// A machine that init runs on is asked for them; of others it is what they sent last, when they failed or were asked.
    Console(ConsoleArgs),
    /// Have machines deployed by an order of their own, which lies over ezio.conf for one deployment: now, or later
    ///
    /// First it shows what would be done, as `plan` does, and how many disks hold something; then it asks. Disks that hold something
    /// else than a deployment of this server make their machine wait, unless --approve gives up what they held when they were last
    /// seen.
    Deploy(DeployArgs),
    /// Take back what was ordered for machines and has not begun
    Cancel(ActArgs),
    /// Show, add and remove what is to be deployed later
    Schedule {
        #[command(subcommand)]
        command: ScheduleCommand,
    },
    /// Show the room's ezio.conf, look at another one, and put it in place
    Conf {
        #[command(subcommand)]
        command: ConfCommand,
    },
    /// Show what became of runs, the newest first
    History(HistoryArgs),
    /// Accounts of people, who log in on the page
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Tokens of programs
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Show who did what, from where, and when
    Audit(StatusArgs),
    /// Write man pages and shell completions into a folder, for packages
    #[command(hide = true)]
    Manual {
        /// Folder to write them into
        folder: PathBuf,
    },
}

/// Which server to ask, and as whom.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Address of the running server [default: the one on this machine, by its directory of state]
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<url::Url>,
    /// With --server: a token of that server (`ezio-pxe token new` makes one). In the environment nobody else sees it
    #[arg(long, value_name = "TOKEN", env = "EZIO_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// With --server https://…: the fingerprint of its certificate, as the server prints it at its start
    #[arg(long, value_name = "SHA-256", value_parser = |text: &str| Ok::<_, std::convert::Infallible>(Fingerprint::said(text)))]
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Directory of state of the server on this machine; to read it takes root, or the server's user
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE)]
    pub(crate) state: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Print the server's answer as JSON instead
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[group(id = "meant", required = true, multiple = false)]
pub(crate) struct MeantArgs {
    /// Machines by id, MAC address, SMBIOS UUID or serial number; or `all`
    #[arg(value_name = "MACHINE|all", group = "meant")]
    pub(crate) machines: Vec<String>,
    /// The known machines of a [[group]] of ezio.conf instead
    #[arg(long, value_name = "NAME", group = "meant")]
    pub(crate) group: Option<String>,
}

impl MeantArgs {
    /// As the server takes it.
    pub(crate) fn meant(&self) -> Meant {
        match &self.group {
            Some(group) => Meant::Group(Group { group: group.clone() }),
            None => Meant::of(self.machines.clone()),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) meant: MeantArgs,
    /// Image of the server [default: what ezio.conf says]
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Option<String>,
    /// What the machines do afterwards: reboot, poweroff, shell or hold [default: what ezio.conf says]
    #[arg(long, value_name = "END")]
    pub(crate) then: Option<EndAction>,
    /// Switch the machines on when it begins
    #[arg(long)]
    pub(crate) wake: bool,
    /// Give up what their disks held when they were last seen
    #[arg(long)]
    pub(crate) approve: bool,
    /// Begin then: "2026-12-01 03:00" or "03:00" in the server's zone, or a time as RFC 3339 has it
    #[arg(long, value_name = "TIME", conflicts_with = "schedule")]
    pub(crate) at: Option<String>,
    /// Begin again and again: minute, hour, day of the month, month, day of the week, as in "0 3 * * MON-FRI"
    #[arg(long, value_name = "CRON")]
    pub(crate) schedule: Option<String>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print the server's answers as JSON; goes with --yes or --dry-run
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Show what is to be deployed later, and when next
    List(StatusArgs),
    /// Add: what `deploy` does with --at or --schedule
    Add(DeployArgs),
    /// Remove one
    Remove(UnscheduleArgs),
}

#[derive(Debug, Args)]
pub(crate) struct UnscheduleArgs {
    /// Its number
    pub(crate) id: u64,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfCommand {
    /// Print the ezio.conf that holds
    Show(StatusArgs),
    /// Say what is wrong with another one, by line, or what each known machine would do by it
    Check(ConfCheckArgs),
    /// Put another one in the place of the one that holds; it holds at once
    ///
    /// First it shows what would be done by it, and what changes; then it asks. The text that is replaced stays beside the file, under its
    /// name with `.before` at the end. A signed ezio.conf, and one that lies where the server may not write, is changed by hand on the server,
    /// and so is which files beside it are named.
    Put(ConfPutArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ConfCheckArgs {
    /// The other ezio.conf
    pub(crate) file: PathBuf,
    /// Print the server's answer as JSON instead
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ConfPutArgs {
    /// The other ezio.conf
    pub(crate) file: PathBuf,
    /// Put it in place only if the text that holds is of this version, as `conf show --json` says it [default: the one that is shown
    /// before it is asked]
    #[arg(long, value_name = "VERSION")]
    pub(crate) replaces: Option<String>,
    /// Do not ask
    #[arg(long, requires = "replaces")]
    pub(crate) yes: bool,
    /// Print the server's answer as JSON
    #[arg(long, requires = "yes")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Only of the machine with this id
    #[arg(long, value_name = "ID")]
    pub(crate) machine: Option<String>,
    /// At most so many
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<u16>,
    /// Print the server's answer as JSON instead
    #[arg(long, conflicts_with = "csv")]
    pub(crate) json: bool,
    /// Print a table for spreadsheets instead
    #[arg(long)]
    pub(crate) csv: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConsoleArgs {
    /// The machine by its id, MAC address, SMBIOS UUID, serial number or host name
    pub(crate) machine: String,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ActArgs {
    #[command(flatten)]
    pub(crate) meant: MeantArgs,
    /// Print the server's answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make an account; its password is read from the terminal, or a line of the standard input
    Add {
        name: String,
        /// What it may do
        #[arg(long)]
        role: Role,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show all accounts
    List(StatusArgs),
    /// Give an account another role
    Role {
        name: String,
        role: Role,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Give an account another password, which is read as for `add`, and end its sessions
    Password(NamedArgs),
    /// Remove an account, and end its sessions
    Remove(NamedArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token for a program, and print it: it is not kept, and not shown again
    New {
        name: String,
        /// What it may do
        #[arg(long)]
        role: Role,
        /// It ends to count after so many days [default: never]
        #[arg(long, value_name = "COUNT")]
        days: Option<u32>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show all tokens, but not what they are
    List(StatusArgs),
    /// Have a token count no more
    Revoke(NamedArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}
