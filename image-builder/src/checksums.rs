//! `SHA256SUMS`, in the format of `sha256sum`.

use ezio_image::checksums::sha256_hex;

/// The line for one file.
pub(crate) fn line(name: &str, content: &[u8]) -> String {
    format!("{}  {name}\n", sha256_hex(content))
}

/// Sum and name of each line; `None` for a line in no format of `sha256sum`'s.
pub(crate) fn parse(text: &str) -> Vec<Option<(String, String)>> {
    text.lines().map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<(String, String)> {
    let (sum, name) = line.split_at_checked(64)?;
    // Two blanks for text, a blank and a star for binary: the same here.
    let name = name.strip_prefix("  ").or_else(|| name.strip_prefix(" *"))?;
    let plain = sum.bytes().all(|b| b.is_ascii_hexdigit()) && !name.is_empty();
    plain.then(|| (sum.to_ascii_lowercase(), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_back() {
        let line = line("a b", b"");
        assert_eq!(line, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a b\n");
        let sum = line[..64].to_owned();
        assert_eq!(parse(&line), [Some((sum.clone(), "a b".to_owned()))]);
        assert_eq!(parse(&format!("{} *x\n", sum.to_uppercase())), [Some((sum, "x".to_owned()))]);
        assert_eq!(parse("short\n"), [None]);
    }
}
