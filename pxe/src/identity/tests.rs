use ezio_contract::FirmwareIdentity;
use ezio_image::conf::Conf;

use super::*;

const CONF: &str = r#"
image = "windows"
[identity]
hostname = "{{room}}-{{counter:2}}"
hosts = "hosts.csv"
[windows]
unattend = "unattend.xml"
join = "join/{{hostname}}.txt"
drivers = "drivers"
"#;

fn folder(conf: &str) -> (tempfile::TempDir, Conf) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("join")).unwrap();
    write("hosts.csv", "mac,room,user\n52:54:00:00:00:01,a,\"R & D\"\n");
    write("unattend.xml", "<n>{{hostname}}</n><u>{{user}}</u><j>{{join}}</j><f>{{join-file}}</f>{{drivers}}");
    std::fs::create_dir_all(folder.path().join("drivers/common")).unwrap();
    write("drivers/common/a.inf", "A");
    write("join/a-07.txt", "QUJD\n");
    (folder, Conf::parse(conf).unwrap())
}

fn machine(mac: &str) -> MachineId {
    FirmwareIdentity { macs: vec![mac.into()], ..FirmwareIdentity::default() }.into()
}

fn ask(conf: &str, mac: &str) -> Result<IdentityAnswer> {
    let (folder, conf) = folder(conf);
    let files = IdentityFiles::read(&conf, folder.path())?;
    let orders = conf.orders_for(&machine(mac), None)?;
    let number = number_for(&orders, &files).map(|_| 7);
    answer(&orders, &files, &machine(mac), number)
}

#[test]
fn a_machine_gets_what_is_its_own() {
    let own = ask(CONF, "52:54:00:00:00:01").unwrap();
    assert_eq!(own.hostname.as_deref(), Some("a-07"));
    let windows = own.windows.unwrap();
    let unattend = r"<n>a-07</n><u>R &amp; D</u><j>QUJD</j><f>C:\Windows\Panther\ezio-join.txt</f>C:\Drivers";
    assert_eq!((windows.drivers.len(), windows.drivers[0].path.as_str()), (1, "common/a.inf"));
    assert!(windows.drivers_note.unwrap().contains("which model"));
    assert_eq!((windows.unattend.as_str(), windows.join.as_deref()), (unattend, Some("QUJD")));
}

#[test]
fn what_a_machine_does_not_have_is_said_and_tells_no_secret() {
    let none = format!("{:#}", ask(CONF, "52:54:00:00:00:02").unwrap_err());
    assert_eq!(none, "hosts.csv has no line for this machine");
    let long = CONF.replace("{{room}}-", "a-very-long-name-{{room}}-");
    assert!(format!("{:#}", ask(&long, "52:54:00:00:00:01").unwrap_err()).contains("at most 15"));
    let other = CONF.replace("join/{{hostname}}", "join/b-{{hostname}}");
    let error = format!("{:#}", ask(&other, "52:54:00:00:00:01").unwrap_err());
    assert!(error.contains("join/b-a-07.txt") && !error.contains("QUJD"), "{error}");
}

#[test]
fn mistakes_in_the_files_show_when_the_conf_is_read() {
    for (changed, to, words) in [
        ("hosts.csv", "none.csv", "reading "),
        ("{{room}}", "{{floor}}", "hostname: there is no value {{floor}}"),
        ("join/{{hostname}}", "join/{{hostname}}{{x}}", "join: there is no value {{x}}"),
        ("join = \"join/{{hostname}}.txt\"", "", "unattend.xml: there is no value {{join}}"),
        ("drivers = \"drivers\"", "", "unattend.xml: there is no value {{drivers}}"),
        ("drivers = \"drivers\"", "drivers = \"none\"", "drivers: listing "),
    ] {
        let (folder, conf) = folder(&CONF.replacen(changed, to, 1));
        let error = format!("{:#}", IdentityFiles::read(&conf, folder.path()).unwrap_err());
        assert!(error.contains(words), "{to}: {error}");
    }
}

#[test]
fn the_examples_name_a_machine_and_join_its_windows() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config-examples/identity");
    let folder = tempfile::tempdir().unwrap();
    for file in ["ezio.conf", "hosts.csv", "unattend.xml"] {
        std::fs::copy(examples.join(file), folder.path().join(file)).unwrap();
    }
    std::fs::create_dir(folder.path().join("join")).unwrap();
    std::fs::write(folder.path().join("join/a12-03.txt"), "QUJD").unwrap();
    let conf = Conf::parse(&std::fs::read_to_string(examples.join("ezio.conf")).unwrap()).unwrap();
    let files = IdentityFiles::read(&conf, folder.path()).unwrap();
    let said = FirmwareIdentity {
        product: Some("Latitude 5440".into()),
        macs: vec!["52:54:00:00:00:02".into()],
        ..FirmwareIdentity::default()
    };
    let machine: MachineId = said.into();
    let orders = conf.orders_for(&machine, None).unwrap();
    let own = answer(&orders, &files, &machine, Some(3)).unwrap();
    assert_eq!(own.hostname.as_deref(), Some("a12-03"));
    let unattend = own.windows.unwrap().unattend;
    for part in [
        "<ComputerName>a12-03</ComputerName>",
        "<RegisteredOwner>Mr. Turing</RegisteredOwner>",
        "<AccountData>QUJD</AccountData>",
    ] {
        assert!(unattend.contains(part), "{part} is not in {unattend}");
    }
}
