//! Tells the server that the worker crashed, by what that left. A process of its own: PID 1 does nothing that could go
//! wrong.

use std::path::Path;

use ezio_contract::report::Event;

use crate::handover::STEP;
use crate::handover::will::Will;
use crate::machine::SystemPaths;
use crate::machine::cmdline::Cmdline;
use crate::machine::steps::Steps;
use crate::run::report_end;
use crate::run::reporter::Reporter;
use crate::screen::Screen;

/// Tells the server why.
pub(crate) async fn report(why: String) {
    let will = Will::read();
    let next = will.end().to_string();
    let Some(line) = will.reports else { return };
    let paths = SystemPaths::below(Path::new("/"));
    let consoles = Cmdline::of_machine(&paths).unwrap_or_default().consoles;
    let screen = Screen::of_machine(&paths, &consoles);
    match Reporter::resume(line, Steps::new(&paths)) {
        Ok(reporter) => {
            report_end(
                &reporter,
                &screen,
                Event::Failed { step: STEP.into(), error: why, next, console: screen.recent() },
            )
            .await;
        }
        Err(error) => screen.step(&format!("the server is not told: {error:#}")),
    }
    screen.flush();
}
