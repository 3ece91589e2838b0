use super::*;

/// Each state, then the state after each event: a look for something to boot, the operator's word, and each report of the
/// known run, by its first letters.
const TABLE: &str = "
            boots    again  | started  waiting  planned  working  received verified deployed seeding  failed   done
    again     booting  again    started  waiting  planned  working  received verified deployed seeding  failed   done
    booting   booting  booting  started  waiting  planned  working  received verified deployed seeding  failed   done
    started   booting  started  started  waiting  planned  working  received verified deployed seeding  failed   done
    waiting   booting  waiting  waiting  waiting  planned  working  received verified deployed seeding  failed   done
    planned   booting  planned  planned  planned  planned  working  received verified deployed seeding  failed   done
    working   booting  working  working  working  working  working  received verified deployed seeding  failed   done
    received  booting  received received received received received received verified deployed seeding  failed   done
    verified  booting  verified verified verified verified verified verified verified deployed seeding  failed   done
    deployed  booting  deployed deployed deployed deployed deployed deployed deployed deployed seeding  failed   done
    seeding   booting  seeding  seeding  seeding  seeding  seeding  seeding  seeding  seeding  seeding  failed   done
    failed    booting  again    failed   failed   failed   failed   failed   failed   failed   failed   failed   done
    done      done     again    done     done     done     done     done     done     done     done     done     done
";

fn state(name: &str) -> State {
    serde_json::from_value(name.into()).unwrap()
}

/// A life that can be in this state.
fn in_state(state: State) -> Life {
    Life { boots_local: state == State::Done, ..Life::in_state(state) }
}

fn all_states() -> Vec<State> {
    rows().into_iter().map(|row| state(row[0])).collect()
}

fn rows() -> Vec<Vec<&'static str>> {
    let lines = TABLE.lines().filter(|line| !line.trim().is_empty()).skip(1);
    lines.map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn every_event_takes_every_state_where_the_table_says() {
    let reports = [
        "started", "waiting", "planned", "working", "received", "verified", "deployed", "seeding", "failed",
        "done",
    ];
    let events: Vec<Event> = [Event::AsksToBoot, Event::Again]
        .into_iter()
        .chain(reports.map(|name| Event::Reports(state(name))))
        .collect();
    assert_eq!(rows().len(), State::Done as usize + 1);
    for row in rows() {
        assert_eq!(row.len(), events.len() + 1);
        for (event, expected) in events.iter().zip(&row[1..]) {
            assert_eq!(in_state(state(row[0])).after(*event).state, state(expected), "{} {event:?}", row[0]);
        }
    }
}

#[test]
fn a_new_run_counts_whatever_was_before() {
    for (before, report) in
        all_states().into_iter().flat_map(|s| all_states().into_iter().map(move |r| (s, r)))
    {
        let began = in_state(before).after(Event::Begins(report));
        assert_eq!(began.state, report.max(State::Booting), "{before:?} {report:?}");
    }
}

#[test]
fn only_an_operator_has_a_machine_deployed_again_that_was_deployed_once() {
    let done = in_state(State::Done);
    for report in all_states() {
        // A run that somebody started by hand, and that ended in any way or in none.
        let later = done.after(Event::Begins(report)).after(Event::AsksToBoot);
        assert!(later.boots_local, "{report:?}");
        assert!(!later.after(Event::Again).boots_local, "{report:?}");
        assert_eq!(later.after(Event::Again).after(Event::AsksToBoot), Life::NEW, "{report:?}");
    }
}

#[test]
fn an_operators_word_during_a_run_holds_at_its_end() {
    for running in all_states().into_iter().filter(|state| state.runs()) {
        let told = in_state(running).after(Event::Again);
        assert_eq!(told.state, running);
        assert_eq!(told.after(Event::Reports(State::Done)), Life::in_state(State::Again));
        // It never came to that end.
        let failed = told.after(Event::Reports(State::Failed));
        assert_eq!(failed.after(Event::AsksToBoot), Life::NEW);
        assert_eq!(told.after(Event::AsksToBoot), Life::NEW);
    }
}
