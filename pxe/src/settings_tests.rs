//! Settings of the command line and of files.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Parser;

use crate::dhcp::Dhcp;
use crate::settings::ServeArgs;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    serve: ServeArgs,
}

fn args(line: &[&str]) -> ServeArgs {
    Line::try_parse_from([&["serve"], line].concat()).unwrap().serve
}

fn error(line: &[&str]) -> String {
    format!("{:#}", args(line).resolve().unwrap_err())
}

#[test]
fn a_plain_user_needs_nothing_but_an_image() {
    let settings = args(&["img", "--dhcp", "off", "--listen", "127.0.0.1"]).resolve().unwrap();
    assert_eq!((settings.http_port, settings.tftp_port, settings.state), (8080, None, None));
    assert_eq!(settings.listen, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
}

#[test]
fn what_is_missing_is_named() {
    assert!(error(&["--dhcp", "off"]).contains("image"));
    assert!(error(&["img"]).contains("--netboot"));
    assert!(error(&["img", "--netboot", "d"]).contains("--interface"));
    assert!(error(&["img", "--dhcp", "off", "--router", "1.2.3.4"]).contains("--dhcp full"));
    assert!(error(&["img", "--dhcp", "off", "--append", "a;b"]).contains("--append"));
    assert!(error(&["img", "--dhcp", "off", "--linger", "soon"]).contains("--linger"));
}

#[test]
fn the_command_line_wins_over_the_file_and_the_file_knows_no_other_keys() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ezio-pxe.toml");
    let name = file.to_str().unwrap();
    std::fs::write(&file, "images = ['a']\ndhcp = 'off'\nhttp-port = 1\npeer-port = 2\nlimit-up = '2M'\n")
        .unwrap();
    let settings = args(&["-c", name, "--http-port", "9"]).resolve().unwrap();
    assert_eq!((settings.http_port, settings.peer_port), (9, 2));
    assert_eq!(settings.images, [PathBuf::from("a")]);
    std::fs::write(&file, "images = ['a']\nhttpport = 1\n").unwrap();
    let message = format!("{:#}", args(&["-c", name]).resolve().unwrap_err());
    assert!(message.contains("httpport") && message.contains("line 2"), "{message}");
}

#[test]
fn ranges_come_from_the_line_or_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ezio-pxe.toml");
    let ranges = "['10.0.0.50-10.0.0.60', '10.1.0.50-10.1.0.60,mask=24,router=10.1.0.1']";
    let text =
        format!("images = ['a']\nnetboot = ['d']\ninterface = 'i'\ndhcp = 'full'\ndhcp-range = {ranges}\n");
    std::fs::write(&file, text).unwrap();
    let number = |more: &[&str]| {
        let settings = args(&[&["-c", file.to_str().unwrap()], more].concat()).resolve().unwrap();
        let Dhcp::Full { pool, .. } = settings.dhcp else { panic!("{:?}", settings.dhcp) };
        pool.ranges.len()
    };
    assert_eq!(number(&[]), 2);
    assert_eq!(number(&["--dhcp-range", "10.0.0.70-10.0.0.80"]), 1);
    std::fs::write(&file, "images = ['a']\ndhcp-range = ['10.0.0.50-10.0.0.60,gateway=10.0.0.1']\n").unwrap();
    let message = format!("{:#}", args(&["-c", file.to_str().unwrap()]).resolve().unwrap_err());
    assert!(message.contains("gateway=10.0.0.1") && message.contains("router=ADDRESS"), "{message}");
}

#[test]
fn the_example_file_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config-examples/ezio-pxe.toml");
    let settings = args(&["-c", path]).resolve().unwrap();
    assert!(matches!(settings.dhcp, Dhcp::Proxy { .. }));
}

#[test]
fn tls_is_there_unless_it_is_left_away_and_needs_both_of_its_files() {
    let base = ["img", "--dhcp", "off"];
    let with = |more: &[&'static str]| [&base[..], more].concat();
    let https = |more: &[&'static str]| args(&with(more)).resolve().unwrap().https;
    assert!(https(&[]).is_some_and(|https| https.port == 8443 && https.given.is_none()));
    assert!(https(&["--https-port", "443"]).is_some_and(|https| https.port == 443));
    let given = ["--tls-key", "k", "--tls-certificate", "c"];
    assert!(https(&given).is_some_and(|https| https.given.is_some()));
    assert!(https(&["--no-tls"]).is_none());
    for more in [&given[..], &["--https-port", "443"]] {
        assert!(error(&with(&[&["--no-tls"], more].concat())).contains("--no-tls"));
    }
    assert!(Line::try_parse_from(["serve", "img", "--tls-key", "k"]).is_err());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ezio-pxe.toml");
    std::fs::write(&file, "images = ['a']\ndhcp = 'off'\nhttps-port = 1\ntls-key = 'k'\n").unwrap();
    assert!(error(&["-c", file.to_str().unwrap()]).contains("go together"));
}
