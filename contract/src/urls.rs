//! Names of what the server has, the same over HTTP and TFTP. They are relative to the root: `http://SERVER:PORT/`
//! or TFTP's.

use std::fmt::Display;

use crate::{Arch, Mac};

/// Orders for the room.
pub const CONF: &str = "ezio.conf";
/// The operator's signature of [`CONF`], if there is one.
pub const CONF_SIGNATURE: &str = "ezio.conf.minisig";
/// What is signed and its signature (minisign) differ by this at the end of the name.
pub const SIGNATURE: &str = ".minisig";
/// iPXE's script.
pub const IPXE: &str = "boot.ipxe";
/// The name that iPXE asks for by itself, in the folder that it came from.
pub const AUTOEXEC: &str = "autoexec.ipxe";
/// First file that network GRUB reads.
pub const GRUB_CONFIG: &str = "grub/grub.cfg";
/// Tracker: announces.
pub const ANNOUNCE: &str = "announce";
/// Tracker: scrapes.
pub const SCRAPE: &str = "scrape";
/// Takes reports (see [`crate::report`]).
pub const REPORT: &str = "api/report";
/// Tells a machine what is its own (see [`crate::identity`]).
pub const IDENTITY: &str = "api/identity";
/// The room as it is.
pub const FLEET: &str = "api/fleet";
/// Has machines deployed again.
pub const AGAIN: &str = "api/again";
/// Lets machines overwrite what they found, and go on.
pub const APPROVE: &str = "api/approve";
/// Keeps machines from being deployed.
pub const HOLD: &str = "api/hold";
/// Forgets machines.
pub const FORGET: &str = "api/forget";
/// `POST`: machines in init restart.
pub const RESTART: &str = "api/restart";
/// `POST`: machines in init are switched off.
pub const POWER_OFF: &str = "api/poweroff";
/// What would be done to each machine.
pub const PLAN: &str = "api/plan";
/// The room as it changes.
pub const EVENTS: &str = "api/events";
/// Where machines stand.
pub const SEATS: &str = "api/seats";
/// Wakes machines.
pub const WAKE: &str = "api/wake";
/// What would become of machines that are ordered to deploy.
pub const DEPLOY_PLAN: &str = "api/deploy/plan";
/// Has machines deployed by an order that lies over [`CONF`].
pub const DEPLOY: &str = "api/deploy";
/// Takes such orders back.
pub const CANCEL: &str = "api/cancel";
/// What is to be deployed later.
pub const SCHEDULES: &str = "api/schedules";
/// Removes one of that.
pub const UNSCHEDULE: &str = "api/schedules/remove";
/// Runs that have ended.
pub const HISTORY: &str = "api/history";
/// The same as a table.
pub const HISTORY_CSV: &str = "api/history.csv";
/// The [`CONF`] that holds, for people.
pub const CONF_TEXT: &str = "api/conf";
/// Says what is wrong with another one.
pub const CONF_CHECK: &str = "api/conf/check";
/// All calls below `api/`, described as OpenAPI.
pub const OPENAPI: &str = "api/openapi.json";
/// Begins a session.
pub const LOGIN: &str = "api/login";
/// Makes the first administrator, by the link that the server prints.
pub const FIRST: &str = "api/first";
/// Ends a session.
pub const LOGOUT: &str = "api/logout";
/// Who calls.
pub const ME: &str = "api/me";
/// Gives the caller's account another password.
pub const PASSWORD: &str = "api/password";
/// Accounts.
pub const USERS: &str = "api/users";
/// One account.
pub const USER: &str = "api/users/{name}";
/// Tokens of programs.
pub const TOKENS: &str = "api/tokens";
/// One token.
pub const TOKEN: &str = "api/tokens/{name}";
/// Who did what.
pub const AUDIT: &str = "api/audit";
/// Prometheus text.
pub const METRICS: &str = "metrics";

/// Folder of the short addresses of machines' pages; a capital, as QR codes hold capitals alone in fewer squares.
pub const MACHINES: &str = "M";

/// Folder of the files for network boot: below it one for each architecture.
pub const BOOT: &str = "boot";
/// Folder of the images.
pub const IMAGES: &str = "images";

/// Files of drivers for Windows, by their hash.
pub const DRIVERS: &str = "drivers";

/// A block of a driver's file, counted from 0 (see [`crate::identity::DRIVER_BLOCK`]).
#[must_use]
pub fn driver_block(sha256: impl Display, number: impl Display) -> String {
    format!("{DRIVERS}/{sha256}/{number}")
}

/// The short address of a machine's page, by a card of it: an address, or what a server puts one in for.
#[must_use]
pub fn machine(mac: impl Display) -> String {
    format!("{MACHINES}/{}", mac.to_string().replace(':', "-"))
}

/// Asks machines for their consoles.
pub const CONSOLES: &str = "api/console";

/// What stood on the console of a machine when it sent it, by its name on the server.
#[must_use]
pub fn console(name: impl Display) -> String {
    format!("api/console/{name}")
}

/// The rates of a machine over its last run, by its name on the server.
#[must_use]
pub fn rates(name: impl Display) -> String {
    format!("api/rates/{name}")
}

/// A file for network boot.
#[must_use]
pub fn boot_file(arch: Arch, file: &str) -> String {
    format!("{BOOT}/{arch}/{file}")
}

/// Folder of an image.
#[must_use]
pub fn image(image: &str) -> String {
    format!("{IMAGES}/{image}")
}

/// GRUB's file for the machine with this card: an address, or what GRUB puts one in for.
#[must_use]
pub fn grub_machine(mac: impl Display) -> String {
    format!("grub/machine-{mac}.cfg")
}

/// The card in a name that [`grub_machine`] made.
#[must_use]
pub fn grub_machine_of(name: &str) -> Option<Mac> {
    name.strip_prefix("grub/machine-")?.strip_suffix(".cfg")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_s_file_names_its_card() {
        let mac: Mac = "52:54:00:12:34:56".parse().unwrap();
        assert_eq!(grub_machine_of(&grub_machine(mac)), Some(mac));
        for other in ["grub/grub.cfg", "grub/machine-x.cfg", "machine-52:54:00:12:34:56.cfg"] {
            assert_eq!(grub_machine_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_signature_lies_beside_what_it_signs() {
        assert_eq!(CONF_SIGNATURE, format!("{CONF}{SIGNATURE}"));
    }

    #[test]
    fn boot_files_stand_below_their_architecture() {
        assert_eq!(boot_file(Arch::Arm64, "vmlinuz"), "boot/arm64/vmlinuz");
        assert_eq!(image("debian-13"), "images/debian-13");
    }
}
