use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::super::reporter::Reporter;
use super::super::reporter::tests::{NOT_FOUND, reporter};
use super::*;
use crate::fetch::Fetcher;
use crate::machine::SystemPaths;
use crate::screen::Screen;
use crate::screen::console::{Console, Style};

const WAIT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 46\r\nConnection: close\r\n\r\n{\"release\":false,\"waits_for\":[\"sda: Windows\"]}";
const GO: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 27\r\nConnection: close\r\n\r\n{\"release\":false,\"go\":true}";

fn wanted(blank: bool, overwrite: Overwrite) -> Wanted {
    let holds = Holds { blank, lines: vec!["Windows".into()], ..Holds::default() };
    Wanted { name: "/dev/sda".into(), id: DiskId::default(), overwrite, holds, becomes: None }
}

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Asks a server; gives what stood on the screen.
async fn ask(reporter: &Reporter, wanted: Wanted) -> (anyhow::Result<()>, String) {
    let paper = Paper::default();
    let screen = Screen::new(vec![Console::new(Style::Lines, paper.clone())]);
    let (paths, fetcher) = (SystemPaths::below(Path::new("/nonexistent")), Fetcher::new().unwrap());
    let run = Run::alone(&paths, &screen, &fetcher, reporter, Consent::OfServer);
    let wanted = vec![wanted];
    let asks = Event::Asks { image: "golden".into(), wanted: wanted.clone() };
    let outcome = run.wait_for_the_server(asks, &wanted).await;
    screen.flush();
    let said = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    (outcome, said)
}

#[tokio::test]
async fn it_waits_says_what_for_and_goes_on_when_it_is_approved() {
    let (reporter, mut asked) = reporter(vec![WAIT, GO]).await;
    let (outcome, said) = ask(&reporter, wanted(false, Overwrite::Ours)).await;
    outcome.unwrap();
    assert!(said.contains("nothing is written yet:\r\n  sda: Windows\r\n"), "{said}");
    assert!(said.contains("ezio-pxe approve"), "{said}");
    for sequence in 0..2 {
        assert_eq!(asked.try_recv().unwrap().sequence, sequence);
    }
    assert!(asked.try_recv().is_err(), "it asked once more after it may");
    assert!(!*reporter.released().borrow(), "who waits is not let go");
}

#[tokio::test]
async fn a_server_that_takes_no_reports_approves_nothing() {
    let (stranger, _asked) = reporter(vec![NOT_FOUND]).await;
    let (outcome, _) = ask(&stranger, wanted(false, Overwrite::Ours)).await;
    assert!(outcome.unwrap_err().to_string().contains("/dev/sda is not blank: Windows"));
    ask(&stranger, wanted(true, Overwrite::Ours)).await.0.unwrap();
}

#[test]
fn without_a_server_only_what_is_blank_or_given_up_is_written() {
    let (blank, any) = (wanted(true, Overwrite::Blank), wanted(false, Overwrite::Any));
    assert!(without_server(&[blank.clone(), any.clone()]).is_ok());
    for overwrite in [Overwrite::Ours, Overwrite::Blank] {
        let asked = [blank.clone(), wanted(false, overwrite), any.clone()];
        let error = without_server(&asked).unwrap_err().to_string();
        assert!(error.contains("/dev/sda is not blank: Windows"), "{error}");
        assert!(error.contains("write overwrite = \"any\" under [disk] in ezio.conf"), "{error}");
    }
}
