//! A machine that is done and was started all the same, from a stick that was left in or by a boot server that does not
//! ask: its disk is left alone. Only a person can have it start from there: by taking the stick out.

use std::time::Duration;

use ezio_disk::mark_boot_medium;
use ezio_image::conf::EndAction;
use uuid::Uuid;

use crate::devices::Devices;
use crate::machine::SystemPaths;
use crate::run::list_disks;
use crate::screen::Screen;
use crate::screen::view::Fact;

/// A slow stick shows up in this time after the kernel was loaded from it.
const STICK_BOUND: Duration = Duration::from_secs(30);
/// So long somebody may need to come by; what waits longer is switched off.
const PERSON_BOUND: Duration = Duration::from_secs(600);

/// Waits until the stick is out; says how the machine ends.
pub(super) async fn wait_for_a_person(
    stick: Option<Uuid>,
    mut devices: Devices,
    paths: &SystemPaths,
    screen: &Screen,
) -> EndAction {
    let minutes = PERSON_BOUND.as_secs() / 60;
    let next = match stick {
        Some(_) => "take the stick out, and it starts from its own disk",
        None => "start it from its own disk",
    };
    screen.step(&format!(
        "this machine is done, its disk is left alone: {next} (it is switched off in {minutes} minutes; \
         `ezio-pxe again` has it deployed once more)"
    ));
    screen.tell(Fact::Waits {
        lines: vec!["this machine is done, its disk is left alone".to_owned()],
        to_do: format!("{next}. It is switched off in {minutes} minutes."),
    });
    let is_in = || stick.is_some_and(|guid| is_there(guid, paths));
    devices.wait_for(STICK_BOUND, || (stick.is_none() || is_in()).then_some(())).await;
    let out = devices.wait_for(PERSON_BOUND, || (stick.is_some() && !is_in()).then_some(())).await;
    match out {
        Some(()) => {
            screen.step("the stick is out");
            EndAction::Reboot
        }
        None => EndAction::PowerOff,
    }
}

fn is_there(stick: Uuid, paths: &SystemPaths) -> bool {
    // What cannot be listed now is there still.
    let Ok(mut disks) = list_disks(paths, &[]) else { return true };
    mark_boot_medium(&mut disks, stick);
    disks.iter().any(|disk| disk.is_boot_medium)
}
