//! What `make release` puts together: the bill of materials names the crates that cargo links, and who holds the public
//! key finds every change of any file.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use ezio_tests::programs;
use ezio_tests::vm::material;

/// What a command prints; it has to end well.
fn output(command: &mut Command) -> Result<String> {
    let output = command.current_dir(material::workspace()).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("starting {}", command.get_program().display()))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// `minisign -V` and `sha256sum --check`, as whoever downloads it does.
fn is_whole(release: &Path, public: &Path) -> bool {
    let mut verify = Command::new("minisign");
    verify.args(["-V", "-q", "-p"]).arg(public).arg("-m").arg(release.join("SHA256SUMS"));
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--strict", "--quiet", "SHA256SUMS"]).current_dir(release);
    [verify, check].iter_mut().all(|command| {
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    })
}

#[test]
fn a_release_is_signed_and_every_change_of_it_shows() -> Result<()> {
    programs::need(&["minisign", "python3"])?;
    let folder = tempfile::tempdir()?;
    let [packages, release] = ["packages", "release"].map(|name| folder.path().join(name));
    let [public, secret] = ["site.pub", "site.key"].map(|name| folder.path().join(name));
    fs::create_dir(&packages)?;
    fs::write(packages.join("ezio-init_1_amd64.deb"), "a package")?;
    // Without a password, which only a person has.
    output(Command::new("minisign").args(["-G", "-W", "-p"]).arg(&public).arg("-s").arg(&secret))?;
    output(
        Command::new(material::workspace().join("scripts/make-release"))
            .arg(&packages)
            .arg(&release)
            .arg(&secret),
    )?;
    ensure!(is_whole(&release, &public), "the release does not fit its own signature");
    for entry in fs::read_dir(&release)? {
        let path = entry?.path();
        let whole = fs::read(&path)?;
        let mut changed = whole.clone();
        *changed.last_mut().context("an empty file")? ^= 1;
        fs::write(&path, changed)?;
        ensure!(!is_whole(&release, &public), "a change of {} does not show", path.display());
        fs::write(&path, whole)?;
    }
    ensure!(is_whole(&release, &public), "the release is not as it was");
    Ok(())
}

#[test]
fn the_bill_of_materials_names_what_cargo_links() -> Result<()> {
    let bill: serde_json::Value = serde_json::from_str(&output(
        Command::new(material::workspace().join("scripts/bill-of-materials")).arg("1"),
    )?)?;
    let components = bill["components"].as_array().context("no components")?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let named: BTreeSet<String> = components.iter().map(|component| text(&component["purl"])).collect();
    let mut linked = BTreeSet::new();
    for target in ["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"] {
        let mut tree = Command::new("cargo");
        tree.args(["tree", "--locked", "--prefix", "none", "--edges", "normal,build", "--target", target]);
        for program in ["ezio-init", "ezio-pxe", "image-builder"] {
            tree.args(["--package", program]);
        }
        for line in output(&mut tree)?.lines() {
            if let Some((name, rest)) = line.split_once(" v") {
                let version = rest.split_whitespace().next().unwrap_or_default();
                linked.insert(format!("pkg:cargo/{name}@{version}"));
            }
        }
    }
    ensure!(linked.len() > 100, "cargo tree names {linked:?} only");
    let missing: Vec<_> = linked.difference(&named).collect();
    ensure!(missing.is_empty(), "not in the bill: {missing:?}");
    ensure!(
        named.iter().any(|purl| purl.starts_with("pkg:npm/preact@")),
        "the page's packages are not in the bill"
    );
    let foreign = components.iter().filter(|component| !text(&component["name"]).starts_with("ezio-"));
    for component in foreign.filter(|component| text(&component["name"]) != "image-builder") {
        ensure!(component["hashes"][0]["content"].is_string(), "no checksum of {component}");
    }
    Ok(())
}
