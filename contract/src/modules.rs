//! The index of kernel modules inside the initrd: which files a device's modalias asks for, in the
//! order in which to load them. `image-builder netboot` works it out; init only matches and loads.
//!
//! A text file, one entry a line, fields parted by one space. Paths are relative to the folder that
//! holds the index:
//!
//! ```text
//! ezio-modules 1 6.1.0-32-amd64
//! module e1000e net/e1000e.ko pps_core ptp       name, file, what to load before it (all of it, in order)
//! post aqc111 usbnet                             name, what to load after it
//! alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e
//! always efi_pstore                              loaded whatever devices there are
//! ```
//!
//! A pattern matches as `modprobe` matches it: `fnmatch` without flags, `-` and `_` being the same.
//! Several patterns may match one modalias; then all of their modules are wanted. What is built into
//! the kernel is in no list. A module may fail to load without harm to those after it (a driver for
//! a CPU feature that is not there answers ENODEV).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use thiserror::Error;

const FORMAT: &str = "ezio-modules 1";

/// Why an index is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ModuleIndexError {
    /// It does not begin with the format's name and version, and a kernel version.
    #[error("not a module index of format {FORMAT:?}")]
    Format,
    /// A line that does not say what its first word promises.
    #[error("line {line}: {text:?} is no entry of a module index")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// A module that is used but has no `module` line.
    #[error("module {0:?} is used but has no file")]
    NoSuchModule(String),
}

/// One module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Module {
    /// File, relative to the folder of the index.
    pub file: String,
    /// Names of the modules to load before it, in order: the whole closure.
    pub before: Vec<String>,
    /// Names of the modules to load after it (a soft dependency), in order.
    pub after: Vec<String>,
}

/// The index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModuleIndex {
    /// Version of the kernel that the modules belong to, as `uname -r` prints it.
    pub kernel: String,
    /// Modules by name (`_`, never `-`).
    pub modules: BTreeMap<String, Module>,
    /// Patterns and the names of their modules, in order of preference.
    pub aliases: Vec<(String, String)>,
    /// Names of modules that are loaded whatever devices there are, in order.
    pub always: Vec<String>,
}

impl ModuleIndex {
    /// Reads an index.
    ///
    /// # Errors
    /// It is no index, a line is malformed, or a module is used that has no file.
    pub fn parse(text: &str) -> Result<Self, ModuleIndexError> {
        let mut lines = text.lines().enumerate();
        let kernel = lines
            .next()
            .and_then(|(_, first)| first.strip_prefix(FORMAT)?.strip_prefix(' '))
            .filter(|kernel| !kernel.is_empty())
            .ok_or(ModuleIndexError::Format)?;
        let mut index = Self { kernel: kernel.to_owned(), ..Self::default() };
        for (i, text) in lines {
            let bad = || ModuleIndexError::Line { line: i + 1, text: text.to_owned() };
            let words: Vec<&str> = text.split(' ').collect();
            let names = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
            match words.as_slice() {
                ["module", name, file, before @ ..] => {
                    let module = index.modules.entry((*name).to_owned()).or_default();
                    (module.file, module.before) = ((*file).to_owned(), names(before));
                }
                ["post", name, after @ ..] => {
                    index.modules.get_mut(*name).ok_or_else(bad)?.after = names(after);
                }
                ["alias", middle @ .., name] if !middle.is_empty() => {
                    // A few aliases have blanks ("of:N*T*Cibm,...", "platform:Fixed MDIO bus").
                    index.aliases.push((middle.join(" "), (*name).to_owned()));
                }
                ["always", name] => index.always.push((*name).to_owned()),
                _ => return Err(bad()),
            }
        }
        index.check()?;
        Ok(index)
    }

    fn check(&self) -> Result<(), ModuleIndexError> {
        let chained = self.modules.values().flat_map(|m| m.before.iter().chain(&m.after));
        let used = chained.chain(self.aliases.iter().map(|(_, name)| name)).chain(&self.always);
        for name in used {
            if !self.modules.contains_key(name) {
                return Err(ModuleIndexError::NoSuchModule(name.clone()));
            }
        }
        Ok(())
    }

    /// The index as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = format!("{FORMAT} {}\n", self.kernel);
        // Writing to a String cannot fail.
        for (name, module) in &self.modules {
            let _ = write!(out, "module {name} {}", module.file);
            module.before.iter().for_each(|dep| out.extend([" ", dep]));
            out.push('\n');
        }
        for (name, module) in self.modules.iter().filter(|(_, m)| !m.after.is_empty()) {
            let _ = writeln!(out, "post {name} {}", module.after.join(" "));
        }
        for (pattern, name) in &self.aliases {
            let _ = writeln!(out, "alias {pattern} {name}");
        }
        for name in &self.always {
            let _ = writeln!(out, "always {name}");
        }
        out
    }

    /// Files to load for a device's modalias (or for what the kernel asks `modprobe` for: an alias
    /// or a module's name), each once, in order; none where nothing matches.
    #[must_use]
    pub fn files_for(&self, modalias: &str) -> Vec<&str> {
        let mut files = Vec::new();
        let wanted = modalias.replace('-', "_");
        if self.modules.contains_key(&wanted) {
            self.append(&wanted, &mut files);
        }
        for (pattern, name) in &self.aliases {
            if matches(pattern, modalias) {
                self.append(name, &mut files);
            }
        }
        files
    }

    /// Files to load whatever devices there are, each once, in order.
    #[must_use]
    pub fn files_always(&self) -> Vec<&str> {
        let mut files = Vec::new();
        for name in &self.always {
            self.append(name, &mut files);
        }
        files
    }

    fn append<'a>(&'a self, name: &str, files: &mut Vec<&'a str>) {
        let Some(module) = self.modules.get(name) else { return };
        let file = |name: &String| self.modules.get(name).map(|m| m.file.as_str());
        let before = module.before.iter().filter_map(file);
        for file in before.chain([module.file.as_str()]) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        // What comes after has needs of its own. A cycle of `after` ends because files are taken once.
        for name in &module.after {
            if file(name).is_some_and(|file| !files.contains(&file)) {
                self.append(name, files);
            }
        }
    }
}

/// Does the alias pattern match the modalias? As `fnmatch(3)` without flags, `-` and `_` alike.
#[must_use]
pub fn matches(pattern: &str, modalias: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), modalias.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when the match fails: behind the last `*`, one more character taken by it.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, t));
            continue;
        }
        match (p < pattern.len(), text.get(t)) {
            (false, None) => return true,
            (true, Some(&c)) => {
                if let Some(length) = matches_one(&pattern[p..], c) {
                    (p, t) = (p + length, t + 1);
                    continue;
                }
            }
            (true, None) => return false,
            (false, Some(_)) => {}
        }
        match retry {
            Some((star, from)) if from < text.len() => {
                (p, t) = (star, from + 1);
                retry = Some((star, from + 1));
            }
            _ => return false,
        }
    }
}

/// Length of the pattern's first item if it matches `c`. `pattern` is not empty.
fn matches_one(pattern: &[u8], c: u8) -> Option<usize> {
    let same = |a: u8| a == c || (matches!(a, b'-' | b'_') && matches!(c, b'-' | b'_'));
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => match bracket(rest, c) {
            Some((hit, length)) => hit.then_some(length + 1),
            // No closing bracket: it stands for itself.
            None => (c == b'[').then_some(1),
        },
        [b'\\', escaped, ..] => same(*escaped).then_some(2),
        [literal, ..] => same(*literal).then_some(1),
        [] => None,
    }
}

/// A bracket expression behind its `[`: does it hold `c`, and its length with the `]`.
fn bracket(items: &[u8], c: u8) -> Option<(bool, usize)> {
    let negated = matches!(items.first(), Some(b'!' | b'^'));
    let first = usize::from(negated);
    let mut i = first;
    let mut hit = false;
    loop {
        match &items[i..] {
            // A `]` in the first place is a member.
            [b']', ..] if i > first => return Some((hit != negated, i + 1)),
            [from, b'-', to, ..] if *to != b']' => {
                hit |= (*from..=*to).contains(&c);
                i += 3;
            }
            [one, ..] => {
                hit |= *one == c;
                i += 1;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> ModuleIndex {
        ModuleIndex::parse(
            "ezio-modules 1 6.1.0-test\n\
             module crc32c_generic c.ko\n\
             module e1000e n/e1000e.ko pps_core ptp\n\
             module hub h.ko usbcore\n\
             module pps_core p.ko\n\
             module ptp ptp.ko pps_core\n\
             module usbcore u.ko\n\
             post e1000e hub\n\
             alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e\n\
             alias platform:Fixed MDIO bus ptp\n\
             always crc32c_generic\n",
        )
        .unwrap()
    }

    #[test]
    fn loads_needs_first_and_each_file_once() {
        let index = sample();
        let nic = "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00";
        assert_eq!(index.files_for(nic), ["p.ko", "ptp.ko", "n/e1000e.ko", "u.ko", "h.ko"]);
        assert_eq!(index.files_for("platform:Fixed MDIO bus"), ["p.ko", "ptp.ko"]);
        assert_eq!(index.files_for("pps-core"), ["p.ko"]);
        assert!(index.files_for("pci:v00001234d00001111").is_empty());
        assert_eq!(index.files_always(), ["c.ko"]);
    }

    #[test]
    fn text_is_read_back_as_it_was() {
        let index = sample();
        assert_eq!(ModuleIndex::parse(&index.to_text()).unwrap(), index);
    }

    #[test]
    fn refuses_what_is_no_index() {
        assert_eq!(ModuleIndex::parse(""), Err(ModuleIndexError::Format));
        assert_eq!(ModuleIndex::parse("ezio-modules 2 6.1\n"), Err(ModuleIndexError::Format));
        let bad = ModuleIndex::parse("ezio-modules 1 6.1\nmodule x\n").unwrap_err();
        assert_eq!(bad, ModuleIndexError::Line { line: 2, text: "module x".into() });
        let lost = ModuleIndex::parse("ezio-modules 1 6.1\nmodule x x.ko y\n").unwrap_err();
        assert_eq!(lost, ModuleIndexError::NoSuchModule("y".into()));
    }

    #[test]
    fn matches_as_fnmatch_does() {
        for (pattern, text, expected) in [
            ("pci:v*d*bc01sc06i01*", "pci:v00008086d00002922sv1sd2bc01sc06i01", true),
            ("pci:v*d*bc01sc06i01*", "pci:v00008086d00002922sv1sd2bc01sc08i02", false),
            (
                "usb:v0B95p772Ad*dc*dsc*dp*ic*isc*ip*in*",
                "usb:v0B95p772Ad0001dcFFdscFFdp00icFFiscFFip00in00",
                true,
            ),
            ("usb:v0525pA4A[0-9A-F]", "usb:v0525pA4AB", true),
            ("usb:v0525pA4A[0-9A-F]", "usb:v0525pA4Ab", false),
            ("x[!a-c]z", "xdz", true),
            ("x[!a-c]z", "xbz", false),
            ("x[]a]", "x]", true),
            ("x[", "x[", true),
            ("virtio-pci", "virtio_pci", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("", "", true),
            ("*", "", true),
            ("a?c", "abc", true),
            (r"a\*c", "a*c", true),
            (r"a\*c", "abc", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_every_text_matches_itself(pattern in ".{0,20}", text in "[a-zA-Z0-9:]{0,20}") {
            let _ = matches(&pattern, &text);
            prop_assert!(matches(&text, &text));
            let starred = format!("*{text}*");
            let padded = format!("ab{text}cd");
            prop_assert!(matches(&starred, &padded));
        }

        #[test]
        fn parsing_never_panics(text in "(ezio-modules 1 6\n)?([a-z *]{0,20}\n){0,6}") {
            let _ = ModuleIndex::parse(&text);
        }
    }
}
