//! What this machine computes with, as the kernel tells through procfs.

use std::fs;

use ezio_contract::inventory::Computer;

use super::SystemPaths;

/// Processor and memory; none where the kernel does not tell.
pub(crate) fn of_machine(paths: &SystemPaths) -> Option<Computer> {
    let cpuinfo = fs::read_to_string(paths.proc.join("cpuinfo")).ok()?;
    let meminfo = fs::read_to_string(paths.proc.join("meminfo")).ok()?;
    let threads = values(&cpuinfo, "processor").count().try_into().ok()?;
    // ARM's kernel tells no names.
    let processor = values(&cpuinfo, "model name").next().map(str::to_owned);
    let memory = values(&meminfo, "MemTotal").next()?;
    let memory_bytes = memory.strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)?;
    Some(Computer { processor, threads, memory_bytes })
}

/// The values of all lines `NAME: VALUE` with this name.
fn values<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.filter(move |(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel says of itself, of two threads of a PC and of one of an ARM board.
    #[test]
    fn processor_threads_and_memory_are_what_the_kernel_says() {
        let folder = tempfile::tempdir().unwrap();
        let (paths, proc) = (SystemPaths::below(folder.path()), folder.path().join("proc"));
        assert_eq!(of_machine(&paths), None);
        fs::create_dir(&proc).unwrap();
        let thread =
            |n: u32| format!("processor\t: {n}\nmodel name\t: Intel(R) Core(TM) i3\nflags\t\t: fpu\n\n");
        fs::write(proc.join("cpuinfo"), thread(0) + &thread(1)).unwrap();
        fs::write(proc.join("meminfo"), "MemTotal:        1000448 kB\nMemFree:          12 kB\n").unwrap();
        let processor = Some("Intel(R) Core(TM) i3".to_owned());
        let memory_bytes = 1_000_448 * 1024;
        assert_eq!(of_machine(&paths), Some(Computer { processor, threads: 2, memory_bytes }));
        fs::write(proc.join("cpuinfo"), "processor\t: 0\nBogoMIPS\t: 125.00\n").unwrap();
        assert_eq!(of_machine(&paths), Some(Computer { processor: None, threads: 1, memory_bytes }));
    }
}
