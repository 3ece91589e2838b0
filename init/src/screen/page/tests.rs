use ezio_contract::FirmwareIdentity;

use super::*;
use crate::screen::view::{Doing, Fact};

const PAGE: &str = "HTTP://192.168.178.100:8080/M/52-54-00-E2-10-47";
/// Text mode, two small framebuffers, and full HD with letters of 8 by 16: without the rows of the lines below.
const SIZES: [Size; 4] = [
    Size { width: 80, height: 22 },
    Size { width: 100, height: 33 },
    Size { width: 128, height: 44 },
    Size { width: 240, height: 60 },
];

fn view(facts: Vec<Fact>) -> View {
    let said = FirmwareIdentity {
        serial: Some("PF2XK9QZ".into()),
        product: Some("OptiPlex 7010".into()),
        macs: vec!["52:54:00:e2:10:47".into()],
        ..FirmwareIdentity::default()
    };
    let mut view = View::default();
    let page = Some(PAGE.to_owned());
    view.learn(Fact::Machine { id: said.into(), address: "192.168.178.47".into(), page });
    facts.into_iter().for_each(|fact| view.learn(fact));
    view
}

fn planned() -> Fact {
    let disk = "/dev/nvme0n1 Samsung SSD 980 500GB 465.8 GiB nvme serial S64DNF0R".to_owned();
    Fact::Planned { image: "debian-13-lab".into(), disks: vec![disk] }
}

fn progress() -> Progress {
    Progress {
        done_bytes: 600 << 20,
        total_bytes: 1280 << 20,
        down_bytes_per_s: 6 << 20,
        up_bytes_per_s: 55 << 20,
        peers: 37,
        ..Progress::default()
    }
}

fn working() -> View {
    let progress = Fact::Progress { doing: Doing::Write, progress: progress() };
    view(vec![Fact::HostName("lab-07".into()), planned(), Fact::Step("writing".into()), progress])
}

fn waiting() -> View {
    let lines = vec!["/dev/nvme0n1 holds Windows, NTFS \"Daten\" 412.0 GiB used of 465.0 GiB".to_owned()];
    let to_do = "Nothing is written yet. It goes on by itself once it is approved.".to_owned();
    view(vec![planned(), Fact::Waits { lines, to_do }])
}

fn failed() -> View {
    let error = "/dev/nvme0n1 Samsung SSD 980 is too small: 465.8 GiB, and the image needs 476.9 GiB; on the server, \
                 \"image-builder shrink lab -o OUT\" makes an image that needs less room";
    let failed = Fact::Failed { step: "choose disk".into(), error: error.into() };
    view(vec![failed, Fact::Next("reboot in 60 s (Ctrl-Alt-Del: restart now)".into())])
}

fn done() -> View {
    view(vec![Fact::HostName("lab-07".into()), planned(), Fact::Done, Fact::Next("reboot".into())])
}

fn starting() -> View {
    let mut view = View::default();
    view.learn(Fact::Step("network: waiting for a link".into()));
    view
}

/// As text; codes are marked by nothing but their squares.
fn text(grid: &Grid) -> String {
    let rows = (0..grid.size.height).map(|y| grid.row(y).iter().map(|cell| cell.letter).collect::<String>());
    let rows: Vec<String> = rows.map(|row| format!("|{row}|")).collect();
    format!("{:?}\n{}", grid.colour, rows.join("\n"))
}

#[test]
fn every_state_at_every_size() {
    let states = [
        ("starting", starting()),
        ("working", working()),
        ("waiting", waiting()),
        ("failed", failed()),
        ("done", done()),
    ];
    for (state, view) in states {
        for size in SIZES {
            insta::assert_snapshot!(
                format!("{state}-{}x{}", size.width, size.height),
                text(&draw(&view, size))
            );
        }
    }
}

/// What a camera sees of a page: black where the ink of a code is, else what is not white.
fn decoded(grid: &Grid) -> Option<String> {
    // A cell is as high as two are wide.
    const SQUARE: usize = 4;
    let dark = |x: usize, y: usize| {
        let Some(cell) = grid.row(y / 2).get(x) else { return true };
        let upper = y.is_multiple_of(2);
        match (cell.ink, cell.letter) {
            (Ink::Code, '█') => true,
            (Ink::Code, '▀') => upper,
            (Ink::Code, '▄') => !upper,
            (Ink::Code, _) => false,
            (Ink::Bright | Ink::Soft, _) => true,
        }
    };
    let (width, height) = (grid.size.width * SQUARE, grid.size.height * 2 * SQUARE);
    let mut seen = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
        if dark(x / SQUARE, y / SQUARE) { 0 } else { 255 }
    });
    seen.detect_grids().first()?.decode().ok().map(|(_, text)| text)
}

#[test]
fn a_camera_reads_the_address_at_every_size() {
    for size in SIZES {
        for view in [waiting(), failed()] {
            assert_eq!(decoded(&draw(&view, size)).as_deref(), Some(PAGE), "{size:?}");
        }
    }
    assert_eq!(decoded(&draw(&working(), SIZES[3])).as_deref(), Some(PAGE));
    assert_eq!(decoded(&draw(&working(), SIZES[0])), None, "the numbers need the room");
}

#[test]
fn no_size_and_no_text_is_too_much() {
    let long = "ä".repeat(1000);
    let id = FirmwareIdentity { serial: Some(long.clone()), ..FirmwareIdentity::default() };
    for mut view in [starting(), working(), waiting(), failed(), done()] {
        for (width, height) in [(0, 0), (1, 1), (3, 40), (40, 13), (300, 9), (480, 270)] {
            assert_eq!(draw(&view, Size { width, height }).row(0).len(), if height == 0 { 0 } else { width });
        }
        view.learn(Fact::Machine {
            id: id.clone().into(),
            address: long.clone(),
            page: Some(long.repeat(9)),
        });
        view.learn(Fact::Planned { image: long.clone(), disks: vec![long.clone(); 50] });
        for size in SIZES {
            draw(&view, size);
        }
    }
}

#[test]
fn text_is_parted_at_blanks_and_cut_where_it_must_be() {
    assert_eq!(wrapped("one two three", 7, 9), ["one two", "three"]);
    assert_eq!(wrapped("abcdefgh i", 3, 9), ["abc", "def", "gh", "i"]);
    assert_eq!(wrapped("one two three four", 8, 2), ["one two", "three..."]);
    assert_eq!(wrapped("a\n\nb", 8, 9), ["a", "", "b"]);
}
