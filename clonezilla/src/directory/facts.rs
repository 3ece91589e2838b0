//! What is told of a partition beside its content: its file system, UUID and label.

use super::Directory;

/// What is known of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its file system in blkid's words.
    pub(crate) filesystem: Option<String>,
    /// UUID.
    pub(crate) uuid: Option<String>,
    /// Label.
    pub(crate) label: Option<String>,
}

impl Facts {
    /// What `blkid.list` says; it lists all disks that the machine had.
    pub(crate) fn of_partition(directory: &Directory, name: &str) -> Self {
        let Ok(text) = directory.text("blkid.list") else { return Self::default() };
        let node = format!("/dev/{name}");
        let line = text.lines().filter_map(|line| line.split_once(": ")).find(|(device, _)| *device == node);
        line.map(|(_, values)| Self::parse(values)).unwrap_or_default()
    }

    /// What is told of swap, which is made anew; none: it is no swap.
    pub(crate) fn of_swap(directory: &Directory, name: &str) -> Option<Self> {
        let text = directory.text(&format!("swappt-{name}.info")).ok()?;
        Some(Self { filesystem: Some("swap".to_owned()), ..Self::parse(&text) })
    }

    /// `KEY="VALUE"`, with blanks or lines between them.
    fn parse(text: &str) -> Self {
        let mut facts = Self::default();
        let mut rest = text;
        while let Some((key, tail)) = rest.split_once("=\"") {
            let Some((value, tail)) = tail.split_once('"') else { break };
            rest = tail;
            let field = match key.trim() {
                "TYPE" => &mut facts.filesystem,
                "UUID" => &mut facts.uuid,
                "LABEL" => &mut facts.label,
                _ => continue,
            };
            *field = (!value.is_empty()).then(|| value.to_owned());
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read() {
        let line = "UUID=\"B74D-4E32\" BLOCK_SIZE=\"512\" LABEL=\"my data\" TYPE=\"vfat\" PARTUUID=\"49a0\"";
        let facts = Facts::parse(line);
        assert_eq!(facts.filesystem.as_deref(), Some("vfat"));
        assert_eq!(facts.uuid.as_deref(), Some("B74D-4E32"));
        assert_eq!(facts.label.as_deref(), Some("my data"));
        let swap = Facts::parse("UUID=\"64d1\"\nLABEL=\"\"\n");
        assert_eq!((swap.uuid.as_deref(), swap.label), (Some("64d1"), None));
    }
}
