//! `/etc/hosts`: the machine's own name at its loopback addresses.

/// The text with `new` for `old`, also as the first part of a longer name, at loopback addresses. Blanks and comments
/// stay.
pub(super) fn renamed(text: &str, old: &str, new: &str) -> String {
    text.split_inclusive('\n').map(|line| renamed_line(line, old, new)).collect()
}

fn renamed_line(line: &str, old: &str, new: &str) -> String {
    let (entry, comment) = line.split_at(line.find('#').unwrap_or(line.len()));
    let is_loopback = entry.split_whitespace().next().is_some_and(|a| a.starts_with("127.") || a == "::1");
    if !is_loopback || old.is_empty() {
        return line.to_owned();
    }
    let (short, new_short) = (first_part(old), first_part(new));
    let words = entry.split_inclusive(char::is_whitespace).map(|word| {
        let name = word.trim_end();
        let blank = &word[name.len()..];
        match name.strip_prefix(short) {
            _ if name == old => format!("{new}{blank}"),
            Some("") => format!("{new_short}{blank}"),
            // The domain stays, unless the new name brings its own.
            Some(domain) if domain.starts_with('.') && new == new_short => format!("{new}{domain}{blank}"),
            Some(domain) if domain.starts_with('.') => format!("{new}{blank}"),
            _ => word.to_owned(),
        }
    });
    words.collect::<String>() + comment
}

fn first_part(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_name_changes_and_no_other() {
        let text = "127.0.0.1\tlocalhost\n127.0.1.1 golden.lab.example\tgolden  # golden\n::1 golden-2 golden\n10.0.0.1 golden\n";
        let expected = "127.0.0.1\tlocalhost\n127.0.1.1 pc-1.lab.example\tpc-1  # golden\n::1 golden-2 pc-1\n10.0.0.1 golden\n";
        assert_eq!(renamed(text, "golden", "pc-1"), expected);
        assert_eq!(renamed("127.0.1.1 a.x a", "a.x", "b.y"), "127.0.1.1 b.y b");
        assert_eq!(renamed("127.0.1.1 a\r\n", "a", "b"), "127.0.1.1 b\r\n");
        assert_eq!(renamed(text, "", "pc-1"), text);
    }
}
