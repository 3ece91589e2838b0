//! The index of kernel modules inside the initrd: which files a device's modalias asks for, in the
//! order in which to load them, and which of them the initrd leaves out: those are fetched from the server
//! when a device asks for them. `image-builder netboot` works it out; init only matches, fetches and loads.
//!
//! A text file, one entry a line, fields parted by one space. Paths are relative to the folder that
//! holds the index, and on the server to the folder of the network boot files:
//!
//! ```text
//! ezio-modules 2 6.12.57+deb13-amd64
//! module e1000e modules/net/e1000e.ko pps_core ptp   name, file, what to load before it (all of it, in order)
//! module ahci modules/ahci.ko.xz libahci libata
//! post aqc111 usbnet                             name, what to load after it
//! firmware qla2xxx firmware/ql2500_fw.bin        name, files that must be there before it is loaded
//! alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e
//! always efi_pstore                              loaded whatever devices there are
//! fetch modules/ahci.ko.xz 20916 1f0c…           not in the initrd: file, size in bytes, SHA-256 in hex
//! ```
//!
//! A pattern matches as `modprobe` matches it: `fnmatch` without flags, `-` and `_` being the same.
//! Several patterns may match one modalias; then all of their modules are wanted. What is built into
//! the kernel is in no list. A module may fail to load without harm to those after it (a driver for
//! a CPU feature that is not there answers ENODEV).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use thiserror::Error;

const FORMAT: &str = "ezio-modules 2";

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
    /// Firmware that it may ask the kernel for, as files relative to the folder of the index.
    pub firmware: Vec<String>,
}

/// A file that is fetched when it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 in hex.
    pub sha256: String,
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
    /// Files that are not in the initrd.
    pub remote: BTreeMap<String, Remote>,
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
                ["firmware", name, files @ ..] => {
                    index.modules.get_mut(*name).ok_or_else(bad)?.firmware = names(files);
                }
                ["always", name] => index.always.push((*name).to_owned()),
                ["fetch", file, size, sha256] => {
                    let size = size.parse().map_err(|_| bad())?;
                    index.remote.insert((*file).to_owned(), Remote { size, sha256: (*sha256).to_owned() });
                }
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
        for (name, module) in self.modules.iter().filter(|(_, m)| !m.firmware.is_empty()) {
            let _ = writeln!(out, "firmware {name} {}", module.firmware.join(" "));
        }
        for (pattern, name) in &self.aliases {
            let _ = writeln!(out, "alias {pattern} {name}");
        }
        for name in &self.always {
            let _ = writeln!(out, "always {name}");
        }
        for (file, Remote { size, sha256 }) in &self.remote {
            let _ = writeln!(out, "fetch {file} {size} {sha256}");
        }
        out
    }

    /// Modules to load for a device's modalias (or for what the kernel asks `modprobe` for: an alias
    /// or a module's name), each once, in order; none where nothing matches.
    #[must_use]
    pub fn modules_for(&self, modalias: &str) -> Vec<&Module> {
        let mut modules = Vec::new();
        let wanted = modalias.replace('-', "_");
        if self.modules.contains_key(&wanted) {
            self.append(&wanted, &mut modules);
        }
        for (pattern, name) in &self.aliases {
            if matches(pattern, modalias) {
                self.append(name, &mut modules);
            }
        }
        modules
    }

    /// Modules to load whatever devices there are, each once, in order.
    #[must_use]
    pub fn modules_always(&self) -> Vec<&Module> {
        let mut modules = Vec::new();
        for name in &self.always {
            self.append(name, &mut modules);
        }
        modules
    }

    /// Files of a module, its own and its firmware's, that are not in the initrd.
    pub fn remote_files<'a>(&'a self, module: &'a Module) -> impl Iterator<Item = (&'a str, &'a Remote)> {
        let files = module.firmware.iter().chain([&module.file]);
        files.filter_map(|file| Some((file.as_str(), self.remote.get(file)?)))
    }

    fn append<'a>(&'a self, name: &str, modules: &mut Vec<&'a Module>) {
        let Some(module) = self.modules.get(name) else { return };
        let known = |modules: &[&Module], module: &Module| modules.iter().any(|m| m.file == module.file);
        for module in module.before.iter().filter_map(|name| self.modules.get(name)).chain([module]) {
            if !known(modules, module) {
                modules.push(module);
            }
        }
        // What comes after has needs of its own. A cycle of `after` ends because modules are taken once.
        for name in &module.after {
            if self.modules.get(name).is_some_and(|after| !known(modules, after)) {
                self.append(name, modules);
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
            "ezio-modules 2 6.1.0-test\n\
             module crc32c_generic c.ko\n\
             module e1000e n/e1000e.ko pps_core ptp\n\
             module hub h.ko usbcore\n\
             module pps_core p.ko\n\
             module ptp ptp.ko pps_core\n\
             module usbcore u.ko\n\
             post e1000e hub\n\
             firmware hub firmware/hub.fw firmware/packed.fw\n\
             alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e\n\
             alias platform:Fixed MDIO bus ptp\n\
             always crc32c_generic\n\
             fetch firmware/hub.fw 4 77\n\
             fetch h.ko 3 aa\n",
        )
        .unwrap()
    }

    fn files<'a>(modules: &[&'a Module]) -> Vec<&'a str> {
        modules.iter().map(|module| module.file.as_str()).collect()
    }

    #[test]
    fn loads_needs_first_and_each_file_once() {
        let index = sample();
        let nic = "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00";
        assert_eq!(files(&index.modules_for(nic)), ["p.ko", "ptp.ko", "n/e1000e.ko", "u.ko", "h.ko"]);
        assert_eq!(files(&index.modules_for("platform:Fixed MDIO bus")), ["p.ko", "ptp.ko"]);
        assert_eq!(files(&index.modules_for("pps-core")), ["p.ko"]);
        assert!(index.modules_for("pci:v00001234d00001111").is_empty());
        assert_eq!(files(&index.modules_always()), ["c.ko"]);
    }

    #[test]
    fn what_the_initrd_lacks_is_said_with_size_and_hash() {
        let index = sample();
        let remote: Vec<_> = index.remote_files(&index.modules["hub"]).collect();
        let file = |size, sha256: &str| Remote { size, sha256: sha256.into() };
        assert_eq!(remote, [("firmware/hub.fw", &file(4, "77")), ("h.ko", &file(3, "aa"))]);
        assert_eq!(index.remote_files(&index.modules["e1000e"]).count(), 0);
    }

    #[test]
    fn text_is_read_back_as_it_was() {
        let index = sample();
        assert_eq!(ModuleIndex::parse(&index.to_text()).unwrap(), index);
    }

    #[test]
    fn refuses_what_is_no_index() {
        assert_eq!(ModuleIndex::parse(""), Err(ModuleIndexError::Format));
        assert_eq!(ModuleIndex::parse("ezio-modules 1 6.1\n"), Err(ModuleIndexError::Format));
        let bad = ModuleIndex::parse("ezio-modules 2 6.1\nmodule x\n").unwrap_err();
        assert_eq!(bad, ModuleIndexError::Line { line: 2, text: "module x".into() });
        let lost = ModuleIndex::parse("ezio-modules 2 6.1\nmodule x x.ko y\n").unwrap_err();
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
        fn parsing_never_panics(text in "(ezio-modules 2 6\n)?([a-z *]{0,20}\n){0,6}") {
            let _ = ModuleIndex::parse(&text);
        }
    }
}
