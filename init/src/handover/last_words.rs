//! What a process says as it dies of a panic.

use std::fs;
use std::io::Write as _;
use std::path::Path;

const LAST_WORDS: &str = "/run/ezio-last-words";

/// From now on a panic of any thread ends this process, and what it said is left for PID 1.
pub(crate) fn die_of_panics() {
    die_of_panics_into(Path::new(LAST_WORDS));
}

fn die_of_panics_into(file: &'static Path) {
    std::panic::set_hook(Box::new(move |info| {
        let words = info.to_string().replace('\n', " ");
        let _ = writeln!(std::io::stderr(), "ezio-init: {words}");
        // There is nobody left to tell of a failure here.
        let _ = fs::write(file, words);
        std::process::abort();
    }));
}

/// What the worker said when it died, if it could.
pub(crate) fn last_words() -> Option<String> {
    fs::read_to_string(LAST_WORDS).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    const INSIDE: &str = "EZIO_TEST_LAST_WORDS";

    #[test]
    fn a_panic_of_any_thread_is_written_down_and_ends_the_process() {
        if let Some(file) = std::env::var_os(INSIDE) {
            die_of_panics_into(Path::new(Box::leak(file.into_boxed_os_str())));
            let thread = std::thread::spawn(|| panic!("the disk\nhas legs"));
            let _ = thread.join();
            unreachable!("the process has survived the panic of a thread");
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("words");
        // It must die in a process of its own.
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "handover::last_words::tests::a_panic_of_any_thread_is_written_down_and_ends_the_process",
            ])
            .env(INSIDE, &file)
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(nix::libc::SIGABRT));
        let words = fs::read_to_string(&file).unwrap();
        assert!(words.contains("last_words.rs") && words.contains("the disk has legs"), "{words}");
    }
}
