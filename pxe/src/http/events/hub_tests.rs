use super::*;
use crate::fleet::RatesView;

fn room(now: f64, ids: &[&str]) -> FleetView {
    let machines = ids.iter().map(|id| serde_json::json!({
        "id": id, "machine": { "macs": [] }, "disks": [], "notes": [], "own_steps": [], "state": "working",
        "silent": false, "boots_local": false, "held": false, "waiting_for": [], "inventory": [], "failures": 0,
        "progress": ezio_contract::report::Progress::default(),
        "times": {}, "steps": {}, "last_heard": now, "deployments": 0
    }));
    let machines = machines.map(|machine| serde_json::from_value(machine).unwrap()).collect();
    FleetView { now, machines, ..FleetView::default() }
}

fn join(hub: &Hub, seen: Option<&str>) -> Joined {
    hub.join(seen, Arc::default()).unwrap().unwrap()
}

/// What travels, as text: axum's events show their bytes to nobody else.
fn text(event: &Event) -> String {
    format!("{event:?}").replace("\\\"", "\"")
}

#[test]
fn the_whole_comes_first_and_then_what_changed() {
    let hub = Hub::new();
    hub.update(room(1.0, &["a", "b"])).unwrap();
    let mut viewer = join(&hub, None);
    let whole = text(&viewer.first[0]);
    assert!(whole.contains("event: room") && whole.contains("\"a\":"), "{whole}");
    hub.update(room(2.0, &["b", "c"])).unwrap();
    let change = text(&viewer.rest.try_recv().unwrap());
    assert!(change.contains("event: change") && change.contains("\"a\":null"), "{change}");
    assert!(change.contains("\"b\":{\"last_heard\":2.0}") && change.contains("\"c\":{\""), "{change}");
    hub.update(room(2.0, &["b", "c"])).unwrap();
    assert!(viewer.rest.try_recv().is_err(), "nothing has changed");
}

#[test]
fn of_rates_the_new_slot_travels_alone() {
    let hub = Hub::new();
    let at = |slots: u64| {
        let samples = (0..slots).map(|at| (at as usize, vec![at, 7, 1])).collect();
        FleetView { rates: RatesView { since: 5.0, step_s: 1, samples }, ..room(slots as f64, &["a"]) }
    };
    hub.update(at(200)).unwrap();
    let mut viewer = join(&hub, None);
    hub.update(at(201)).unwrap();
    let change = text(&viewer.rest.try_recv().unwrap());
    assert!(change.contains("\"rates\":{\"samples\":{\"200\":[200,7,1]}}"), "{change}");
}

#[test]
fn who_comes_back_gets_what_it_missed_while_that_is_known() {
    let hub = Hub::new();
    hub.update(room(0.0, &["a"])).unwrap();
    let id = hub.state().id();
    for now in 1..=3 {
        hub.update(room(f64::from(now), &["a"])).unwrap();
    }
    assert_eq!(join(&hub, Some(&id)).first.len(), 3);
    let now = hub.state().id();
    assert!(join(&hub, Some(&now)).first.is_empty());
    let future = format!("{:x}-{}", hub.state().process, u64::MAX);
    for strange in ["", "-", "1-0", "x", &format!("{now}0"), &future] {
        assert!(text(&join(&hub, Some(strange)).first[0]).contains("event: room"), "{strange}");
    }
    for now in 4..200 {
        hub.update(room(f64::from(now), &["a"])).unwrap();
    }
    assert_eq!(hub.state().kept.len(), KEPT);
    assert!(text(&join(&hub, Some(&id)).first[0]).contains("event: room"));
}

#[test]
fn who_does_not_read_is_cut_and_the_others_are_not() {
    let hub = Hub::new();
    let cut = Arc::new(Notify::new());
    let stuck = hub.join(None, Arc::clone(&cut)).unwrap().unwrap();
    let mut reads = join(&hub, None);
    for now in 0..=QUEUE {
        hub.update(room(now as f64, &["a"])).unwrap();
        assert!(reads.rest.try_recv().is_ok());
    }
    assert_eq!(hub.state().viewers.len(), 1);
    assert!(stuck.rest.is_closed());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(cut.notified());
}

#[test]
fn viewers_are_bounded_and_all_end_with_the_server() {
    let hub = Hub::new();
    let mut viewers: Vec<Joined> = (0..MAX_VIEWERS).map(|_| join(&hub, None)).collect();
    assert!(hub.join(None, Arc::default()).unwrap().is_none());
    viewers.pop();
    viewers.push(join(&hub, None));
    hub.close();
    assert!(viewers.iter_mut().all(|viewer| viewer.rest.try_recv().is_err()));
    assert!(hub.join(None, Arc::default()).unwrap().is_none());
}
