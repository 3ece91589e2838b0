//! The file that `djoin /provision … /savefile` made for one machine. It is read when the machine asks: an operator makes
//! them while the room is served. What is in it is a secret, and appears in no message.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

use anyhow::{Context, Result, bail, ensure};
use ezio_image::identity::template::{Template, Values};

/// Largest file, in bytes: real ones have some 4 KiB, with certificates and policies a few times that.
const MAX_JOIN: u64 = 1 << 20;

/// The text of the file that the template names for these values.
pub(super) fn read(folder: &Path, template: &Template, values: &Values) -> Result<String> {
    let named = template.fill(values, as_file_name).context("join")?;
    let inside =
        Path::new(&named).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    ensure!(inside, "join: {named:?} leads out of the folder of ezio.conf");
    let path = folder.join(&named);
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(&path)?.take(MAX_JOIN + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().with_context(|| format!("join: reading {named} beside ezio.conf"))?;
    ensure!(
        bytes.len() as u64 <= MAX_JOIN,
        "join: {named} has more than {MAX_JOIN} bytes: it is no file of djoin"
    );
    decode(&bytes).with_context(|| format!("join: {named}"))
}

fn as_file_name(value: &str) -> String {
    value.chars().map(|c| if c.is_alphanumeric() || "._- ".contains(c) { c } else { '-' }).collect()
}

/// djoin writes UTF-16 with a mark in front and a zero at the end; an editor may have made UTF-8 of it.
fn decode(bytes: &[u8]) -> Result<String> {
    let text = match bytes.strip_prefix(&[0xff, 0xfe]) {
        Some(utf16) => {
            let units = utf16.as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit));
            char::decode_utf16(units).collect::<Result<String, _>>().ok()
        }
        None => String::from_utf8(bytes.to_vec()).ok(),
    };
    let text = text.as_deref().map(|text| text.trim_matches(|c: char| c.is_whitespace() || c == '\0'));
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
    match text {
        Some(text) if !text.is_empty() && text.bytes().all(is_base64) => Ok(text.to_owned()),
        _ => bail!("it is not what djoin /provision /savefile writes (base64)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_djoin_and_as_editors_write_it() {
        let utf16: Vec<u8> =
            [0xff, 0xfe].into_iter().chain("ARAIAM==\0".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(decode(&utf16).unwrap(), "ARAIAM==");
        assert_eq!(decode(b"ARAIAM==\r\n").unwrap(), "ARAIAM==");
        for bad in [&b""[..], b"<html>", b"\xff\xfe", b"\xff\xfe\x00\xd8"] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_a_machine_says_leads_to_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("..-..-x"), "AA==").unwrap();
        let read = |serial: &str| {
            let values = [("serial".to_owned(), serial.to_owned())].into();
            read(folder.path(), &Template::parse("{{serial}}").unwrap(), &values)
        };
        assert_eq!(read("../../x").unwrap(), "AA==", "no slash of a serial number counts");
        assert!(format!("{:#}", read("..").unwrap_err()).contains("leads out"));
        assert!(format!("{:#}", read("none").unwrap_err()).contains("reading none beside ezio.conf"));
    }
}
