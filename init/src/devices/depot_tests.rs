//! Against a server that answers as it is told.

use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const CONTENT: &[u8] = b"a module";

/// Answers each connection with the next of these (the last one again and again), then closes it.
async fn server(answers: Vec<String>) -> (Location, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = format!("http://{}/boot/amd64", listener.local_addr().unwrap()).parse().unwrap();
    let task = tokio::spawn(async move {
        let last = answers.last().cloned().into_iter().cycle();
        for answer in answers.into_iter().chain(last) {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            let asked = String::from_utf8_lossy(&request[..length]).into_owned();
            assert!(asked.starts_with("GET /boot/amd64/modules/"), "{asked}");
            // The client may have had enough.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (location, task)
}

fn answer(status: &str, length: usize, body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn good() -> String {
    answer("200 OK", CONTENT.len(), CONTENT)
}

fn wanted(file: &str) -> (String, Remote) {
    let remote = Remote { size: CONTENT.len() as u64, sha256: sha256_hex(CONTENT) };
    (format!("modules/{file}"), remote)
}

/// Fetches a.ko.xz; gives its content, or why it could not be had.
async fn fetch(folders: Vec<Location>, patience: Duration) -> Result<Vec<u8>, String> {
    let into = tempfile::tempdir().unwrap();
    let depot = Depot::new(folders, Fetcher::new().unwrap(), patience);
    let mut not_had = depot.fetch(vec![wanted("a.ko.xz")], into.path()).await;
    let left = std::fs::read_dir(into.path()).unwrap().count();
    match not_had.pop() {
        Some(failure) => {
            assert_eq!((failure.file.as_str(), left), ("modules/a.ko.xz", 0), "nothing of it is left");
            Err(failure.why)
        }
        None => Ok(std::fs::read(into.path().join("modules/a.ko.xz")).unwrap()),
    }
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn asks_again_until_the_file_is_whole_and_the_right_one() {
    let bad = [
        answer("404 None", 0, b""),
        answer("503 Busy", 0, b""),
        answer("200 OK", CONTENT.len(), b"a mod"),
        answer("200 OK", CONTENT.len(), b"A module"),
        answer("200 OK", 5, b"a mod"),
    ];
    let (folder, _task) = server(bad.into_iter().chain([good()]).collect()).await;
    assert_eq!(fetch(vec![folder], LONG).await.unwrap(), CONTENT);
}

#[tokio::test]
async fn another_file_than_the_initrd_was_packed_with_is_never_kept() {
    let (folder, _task) = server(vec![answer("200 OK", CONTENT.len(), b"A module")]).await;
    let why = fetch(vec![folder.clone()], Duration::ZERO).await.unwrap_err();
    assert!(why.starts_with(&folder.file("modules/a.ko.xz").to_string()), "{why}");
    assert!(why.contains("not the file that this initrd was packed with"), "{why}");
}

#[tokio::test]
async fn more_than_the_index_says_is_not_taken() {
    let (folder, _task) = server(vec![answer("200 OK", 1 << 30, b"a module and more")]).await;
    let why = fetch(vec![folder], Duration::ZERO).await.unwrap_err();
    assert!(why.ends_with(&format!("more than {} bytes", CONTENT.len())), "{why}");
}

#[tokio::test]
async fn where_one_server_has_it_not_another_is_asked_and_all_are_named_in_the_end() {
    let (away, _) = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (
            format!("http://{}/boot/amd64", listener.local_addr().unwrap()).parse::<Location>().unwrap(),
            listener,
        )
    };
    let (has_it_not, _first) = server(vec![answer("404 None", 0, b"")]).await;
    let (has_it, _second) = server(vec![good()]).await;
    let both = vec![has_it_not.clone(), has_it];
    assert_eq!(fetch(both, Duration::ZERO).await.unwrap(), CONTENT);
    let why = fetch(vec![has_it_not.clone(), away.clone()], Duration::ZERO).await.unwrap_err();
    assert!(why.contains(&has_it_not.to_string()) && why.contains(&away.to_string()), "{why}");
    assert!(fetch(Vec::new(), LONG).await.unwrap_err().contains("no server"));
}

#[tokio::test]
async fn many_files_come_a_few_at_a_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder: Location = format!("http://{}/boot/amd64", listener.local_addr().unwrap()).parse().unwrap();
    let (open, most) =
        (std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0)), tokio::sync::watch::channel(0).0);
    let most = std::sync::Arc::new(most);
    let counted = std::sync::Arc::clone(&most);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (open, most) = (std::sync::Arc::clone(&open), std::sync::Arc::clone(&counted));
            tokio::spawn(async move {
                use std::sync::atomic::Ordering::SeqCst;
                let now = open.fetch_add(1, SeqCst) + 1;
                most.send_if_modified(|most| {
                    now > *most && {
                        *most = now;
                        true
                    }
                });
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await.unwrap();
                // Answered only when as many ask as ever will, so that the count is no matter of luck.
                most.subscribe().wait_for(|most| *most >= AT_A_TIME).await.unwrap();
                open.fetch_sub(1, SeqCst);
                stream.write_all(good().as_bytes()).await.unwrap();
            });
        }
    });
    let into = tempfile::tempdir().unwrap();
    let depot = Depot::new(vec![folder], Fetcher::new().unwrap(), LONG);
    let files: Vec<_> = (0..20).map(|i| wanted(&format!("{i}.ko"))).collect();
    let not_had = depot.fetch(files, into.path()).await;
    assert!(not_had.is_empty(), "{not_had:?}");
    assert_eq!(std::fs::read_dir(into.path().join("modules")).unwrap().count(), 20);
    assert_eq!(*most.borrow(), AT_A_TIME);
}
