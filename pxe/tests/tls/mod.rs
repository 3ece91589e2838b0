//! The page by TLS, as curl and openssl see it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::room::{Image, Server};

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Head and body of an answer, from who trusts this certificate alone.
fn curl(trusted: &Path, more: &[&str], url: &str) -> String {
    let mut curl = Command::new("curl");
    output(curl.args(["-si", "--max-time", "20", "--cacert"]).arg(trusted).args(more).arg(url))
}

/// As openssl says it.
fn fingerprint(certificate: &Path) -> String {
    let mut openssl = Command::new("openssl");
    let said = output(openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(certificate));
    said.trim().rsplit('=').next().unwrap().to_owned()
}

#[test]
fn people_and_machines_have_ports_of_their_own() {
    let image = Image::make("golden");
    let state = tempfile::tempdir().unwrap();
    let args = ["--state", state.path().to_str().unwrap()];
    let server = Server::start(&image, &args);
    let made = state.path().join("tls-certificate.pem");
    assert!(server.printed.contains(&fingerprint(&made)), "{}", server.printed);
    let page = |name: &str, more: &[&str]| curl(&made, more, &format!("{}/{name}", server.page));
    assert!(page("", &[]).contains("<title>ezio</title>"));
    assert!(page("api/fleet", &[]).starts_with("HTTP/1.1 401"));
    for name in ["ezio.conf", "boot.ipxe", "metrics", "api/report", "announce"] {
        assert!(page(name, &[]).starts_with("HTTP/1.1 404"), "{name}");
    }
    // Commands on the server know it, and nobody else by the same name.
    assert!(server.command(&["status"]).contains("0 done"));
    let token = server.command(&["token", "new", "t", "--role", "viewer"]);
    let from_afar = |fingerprint: &str| {
        let mut status = Command::new(env!("CARGO_BIN_EXE_ezio-pxe"));
        status.args(["status", "--server", &server.page, "--fingerprint", fingerprint]);
        status.env("EZIO_TOKEN", token.trim()).output().unwrap()
    };
    assert!(from_afar(&fingerprint(&made)).status.success());
    let other = from_afar(&"00".repeat(32));
    assert!(String::from_utf8_lossy(&other.stderr).contains("another certificate"), "{other:?}");

    let link = server.printed.split("/#/first/").nth(1).unwrap().split_whitespace().next().unwrap();
    let first = format!(r#"{{"link":"{link}","name":"anna","password":"a long password"}}"#);
    let json = ["-H", "Content-Type: application/json", "-d", &first];
    let entered = page("api/first", &json);
    assert!(
        entered.contains("et-Cookie: __Host-ezio-session=") && entered.contains("; Secure\r\n"),
        "{entered}"
    );
    let cookie = entered.split("et-Cookie: ").nth(1).unwrap().split(';').next().unwrap();
    let me = |name: &str, cookie: &str| page(name, &["-H", &format!("Cookie: {cookie}")]);
    assert!(me("api/me", cookie).starts_with("HTTP/1.1 200"));
    // What another port of this host could have set counts for nothing.
    assert!(me("api/me", cookie.trim_start_matches("__Host-")).starts_with("HTTP/1.1 401"));

    let plain = |name: &str| output(Command::new("curl").args(["-si", &format!("{}/{name}", server.base)]));
    for name in ["ezio.conf", "boot.ipxe", "metrics"] {
        assert!(plain(name).starts_with("HTTP/1.1 200"), "{name}");
    }
    for name in ["api/fleet", "api/events", "api/me", "api/audit", "api/login", "api/openapi.json"] {
        assert!(plain(name).starts_with("HTTP/1.1 404"), "{name}: {}", plain(name));
    }
    // Nothing that somebody sends with a password or a token is led anywhere.
    for name in ["", "api/login", "api/hold"] {
        let post = ["-si", "-X", "POST", "-d", "{}", "-H", "Authorization: Bearer 0"];
        let answer = output(Command::new("curl").args(post).arg(format!("{}/{name}", server.base)));
        assert!(
            answer.starts_with("HTTP/1.1 40") && !answer.to_lowercase().contains("location:"),
            "{answer}"
        );
    }
    for name in ["", "M/52-54-00-12-34-56"] {
        let lead = plain(name);
        assert!(lead.contains(&format!("ocation: {}/{name}\r\n", server.page)), "{lead}");
    }

    server.stop();
    let again = Server::start(&image, &args);
    assert!(again.printed.contains(&fingerprint(&made)), "it is kept");
    assert!(!again.printed.contains("not for"), "{}", again.printed);
}

#[test]
fn a_server_that_has_moved_keeps_its_certificate_and_says_so() {
    let image = Image::make("golden");
    let state = tempfile::tempdir().unwrap();
    let at =
        |address| Server::start(&image, &["--state", state.path().to_str().unwrap(), "--listen", address]);
    let made = state.path().join("tls-certificate.pem");
    at("127.0.0.1").stop();
    let first = fingerprint(&made);
    let moved = at("127.0.0.9");
    assert!(moved.printed.contains(&first), "{}", moved.printed);
    let said = format!(
        "not for 127.0.0.9, as this server is called now: who trusts it by name is refused there. A new one is made at the next start without {}",
        made.display()
    );
    assert!(moved.printed.contains(&said), "{}", moved.printed);
    assert!(moved.command(&["status"]).contains("0 done"), "commands know it all the same");
    moved.stop();
    std::fs::remove_file(&made).unwrap();
    let anew = at("127.0.0.9");
    assert_ne!(fingerprint(&made), first);
    assert!(
        anew.printed.contains(&fingerprint(&made)) && !anew.printed.contains("not for"),
        "{}",
        anew.printed
    );
    // As curl knows it: by its names.
    assert!(curl(&made, &[], &anew.page).contains("<title>ezio</title>"));
}

#[test]
fn a_given_certificate_is_served_and_mistakes_are_named() {
    let image = Image::make("golden");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (file("c.pem"), file("k.pem"));
    let mut make = Command::new("openssl");
    make.args(["req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=lab", "-days", "2"]);
    output(make.args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", &key, "-out", &certificate]));
    let given = ["--tls-certificate", &certificate, "--tls-key", &key];
    let server = Server::start(&image, &given);
    assert!(curl(Path::new(&certificate), &[], &server.page).contains("<title>ezio</title>"));
    assert!(server.command(&["status"]).contains("0 done"));
    std::fs::write(&key, "no key").unwrap();
    let error = Server::fails(&image, &given);
    assert!(error.contains("k.pem"), "{error}");
}

#[test]
fn behind_a_proxy_there_is_one_port_without_tls() {
    let image = Image::make("golden");
    let server = Server::start(&image, &["--no-tls"]);
    assert_eq!(server.page, server.base);
    assert!(!server.printed.contains("certificate"), "{}", server.printed);
    let answer = |name: &str| output(Command::new("curl").args(["-si", &format!("{}/{name}", server.base)]));
    assert!(answer("").contains("<title>ezio</title>"));
    assert!(answer("ezio.conf").starts_with("HTTP/1.1 200"));
    assert!(answer("api/fleet").starts_with("HTTP/1.1 401"));
    assert!(server.command(&["status"]).contains("0 done"));
    let error = Server::fails(&image, &["--no-tls", "--https-port", "0"]);
    assert!(error.contains("--no-tls") && error.contains("--https-port"), "{error}");
}

#[test]
fn who_speaks_no_tls_holds_nobody_up() {
    let image = Image::make("golden");
    let server = Server::start(&image, &[]);
    let address: SocketAddr = server.page.trim_start_matches("https://").parse().unwrap();
    let silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut plain = TcpStream::connect(address).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert!(server.command(&["status"]).contains("0 done"));
    // A handshake takes ten seconds at most.
    let mut silent = silent.into_iter();
    let mut one = silent.next().unwrap();
    one.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(one.read(&mut [0]).unwrap(), 0);
}
