//! Where orders are looked for, and what is done when there are none.

use std::net::Ipv4Addr;
use std::time::Instant;

use super::*;

const SERVER: Option<Ipv4Addr> = Some(Ipv4Addr::new(10, 0, 0, 1));

fn places(told: Option<&str>, server: Option<Ipv4Addr>, embedded: &Path) -> Vec<String> {
    let places = ConfPlaces::find(told, server, embedded).unwrap();
    places.candidates.iter().map(ToString::to_string).collect()
}

#[test]
fn told_then_embedded_then_the_boot_server() {
    let none = Path::new("/nonexistent");
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(places(Some("tftp://h/e"), SERVER, file.path()), ["tftp://h/e"]);
    assert_eq!(places(None, SERVER, file.path()), [file.path().display().to_string()]);
    let served = ["http://10.0.0.1:8080/ezio.conf", "tftp://10.0.0.1/ezio.conf"];
    assert_eq!(places(None, SERVER, none), served);
    assert!(ConfPlaces::find(None, None, none).is_err());
    // The images of an embedded conf are the server's.
    let embedded = ConfPlaces::find(None, SERVER, file.path()).unwrap();
    assert_eq!(embedded.images.unwrap().to_string(), served[0]);
}

#[test]
fn modules_are_looked_for_where_the_conf_is_then_on_the_boot_server() {
    let arch = Arch::of_this_program().unwrap();
    let of = |conf: &str, server| -> Vec<String> {
        let folders = boot_folders(&conf.parse().unwrap(), server).unwrap();
        folders.iter().map(ToString::to_string).collect()
    };
    let other = format!("http://10.9.9.9/boot/{arch}/");
    let boot_server = [format!("http://10.0.0.1:8080/boot/{arch}/"), format!("tftp://10.0.0.1/boot/{arch}/")];
    assert_eq!(
        of("http://10.9.9.9/a/ezio.conf", SERVER),
        [[other.clone()].as_slice(), &boot_server].concat()
    );
    assert_eq!(of("http://10.9.9.9/a/ezio.conf", None), [other]);
    assert_eq!(of("http://10.0.0.1:8080/ezio.conf", SERVER), boot_server, "each once");
    assert_eq!(of("/etc/ezio/ezio.conf", SERVER), boot_server);
    assert!(of("/etc/ezio/ezio.conf", None).is_empty());
}

#[tokio::test]
async fn an_unreachable_server_is_given_up_in_time_and_each_attempt_is_said() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ezio.conf", listener.local_addr().unwrap());
    drop(listener);
    let places = ConfPlaces { candidates: vec![url.parse().unwrap()], images: None };
    let patience = Patience { total: Duration::from_secs(3) };
    let began = Instant::now();
    let fetcher = Fetcher::new().unwrap();
    let error = fetch_conf(&places, &fetcher, patience, None, &Screen::dark()).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let text = format!("{error:#}");
    assert!(text.contains("no server gave ezio.conf within 3 s") && text.contains("refused"), "{text}");
}

#[tokio::test]
async fn a_wrong_conf_is_refused_by_line_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ezio.conf");
    std::fs::write(&path, "image = \"a\"\nimagee = \"b\"\n").unwrap();
    let places = ConfPlaces { candidates: vec![Location::Local(path)], images: None };
    let fetcher = Fetcher::new().unwrap();
    let error = fetch_conf(&places, &fetcher, Patience::NONE, None, &Screen::dark()).await.unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("ezio.conf") && text.contains("line 2") && text.contains("imagee"), "{text}");
}

#[test]
fn reports_go_where_told_else_to_the_confs_server() {
    let of = |told: Option<&str>, origin: &str| {
        report_url(told, &origin.parse().unwrap()).map(|url| url.map(|u| u.to_string()))
    };
    let http = "http://h:8080/ezio.conf";
    assert_eq!(of(None, http).unwrap().as_deref(), Some("http://h:8080/api/report"));
    assert_eq!(of(Some("http://x/r"), http).unwrap().as_deref(), Some("http://x/r"));
    assert_eq!(of(None, "tftp://h/ezio.conf").unwrap(), None);
    assert!(of(Some("tftp://x/r"), http).is_err());
}

/// Made with `minisign -G -W` and `minisign -S` of minisign 0.11.
#[test]
fn only_signed_orders_count() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.pub");
    std::fs::write(&key, KEY).unwrap();
    let key = PublicKey::of_initrd(&key).unwrap().unwrap();
    key.verify(SIGNED.as_bytes(), SIGNATURE.as_bytes()).unwrap();
    assert!(key.verify(b"image = \"other\"\n", SIGNATURE.as_bytes()).is_err());
    assert!(key.verify(SIGNED.as_bytes(), b"no signature").is_err());
    assert!(PublicKey::of_initrd(Path::new("/nonexistent")).unwrap().is_none());
    let broken = dir.path().join("broken.pub");
    std::fs::write(&broken, "nonsense").unwrap();
    assert!(PublicKey::of_initrd(&broken).is_err());
}

const SIGNED: &str = "image = \"room\"\n";
const KEY: &str = "untrusted comment: minisign public key B9176CD0D58D0DB0\n\
RWSwDY3V0GwXub7rzNj2skJMlPUej6IklW2ofRrPlHXJMaSfhlA9ywA4\n\
";
const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
RUSwDY3V0GwXuQYgZv9ir5R0lfousF2h6bgXdKhaE+wjbpCI9bKNFS3FQrAggzqA1bymOtKv6HMiyquf+jGcjyk/UhNQZCuLngw=\n\
trusted comment: ezio test\n\
1Ko4qQvgwnt9vSNBLvJ14Hf+CtXTnhkZ3agM/MsTomUTfb/aAg0mAibIBD47XN9UkFI9aG/c1lCt6X4J8bZzCg==\n\
";

#[test]
fn a_server_is_named_as_people_name_it() {
    let full = "http://10.0.0.1:8080/ezio.conf";
    for server in
        ["10.0.0.1", "10.0.0.1:8080", "http://10.0.0.1", "http://10.0.0.1/", "http://10.0.0.1:8080/", full]
    {
        assert_eq!(conf_of_server(server), full, "{server}");
    }
    assert_eq!(conf_of_server("deploy:80"), "http://deploy:80/ezio.conf");
    for file in ["http://10.0.0.1/lab/ezio.conf", "tftp://10.0.0.1/ezio.conf"] {
        assert_eq!(conf_of_server(file), file);
    }
}
