//! A session of librqbit, by its bindings for Python: as a crate it would bring a hundred others, which nothing else here needs.

use std::path::Path;
use std::process::{Command, Stdio};

use ezio_tests::loopback::{Process, Server, free_port};
use ezio_tests::{programs, python};

use super::{COMPLETE, Image, LIMIT, said};

/// Takes a torrent into a folder, and seeds what it found there or has fetched.
fn librqbit(torrent: &Path, folder: &Path, port: u16, more: &[&str]) -> Process {
    let mut command = Command::new(python::environment("librqbit").unwrap().join("bin/python"));
    command.arg(programs::own_file("scripts/librqbit_peer.py")).arg(torrent).arg(folder);
    command.arg(port.to_string()).args(more);
    let mut peer = Process::start(command.stdout(Stdio::piped())).unwrap();
    said(&mut peer, b'\n', COMPLETE);
    peer
}

#[test]
#[ignore = "soak: a package from PyPI"]
fn librqbit_downloads_from_our_seeder_through_our_tracker() {
    programs::need(&["curl"]).unwrap();
    let image = Image::packed();
    let server = Server::start(&image.directory(), &[]).unwrap();
    let got = image.folder.path().join("got");
    let mut peer = librqbit(&image.torrent_of(&server), &got, free_port().unwrap(), &["--end"]);
    assert!(peer.wait(LIMIT).unwrap().success());
    image.assert_is(&got.join("disk"));
}

#[test]
#[ignore = "soak: a package from PyPI"]
fn librqbit_seeds_our_torrent_to_us() {
    let image = Image::in_files();
    let port = free_port().unwrap();
    let _seeder = librqbit(&image.torrent(), &image.directory(), port, &[]);
    image.write(&image.torrent(), &["--peer", &format!("127.0.0.1:{port}")]);
}
