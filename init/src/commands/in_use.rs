//! Is a device, or a partition of it, mounted or swapped to? What is mounted is never written.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::SystemPaths;

/// The device that is mounted or swapped to: the target itself or one of its partitions.
pub(crate) fn mounted(target: &Path, paths: &SystemPaths) -> Option<PathBuf> {
    let target = target.canonicalize().ok()?;
    let name = target.file_name()?;
    let block = paths.sys.join("class/block").join(name);
    let children = fs::read_dir(&block).into_iter().flatten().flatten();
    let partitions = children.filter(|child| child.path().join("partition").exists());
    let mut ours: Vec<PathBuf> = partitions.map(|child| target.with_file_name(child.file_name())).collect();
    ours.push(target);
    let lists = ["mounts", "swaps"].map(|list| fs::read_to_string(paths.proc.join(list)).unwrap_or_default());
    let sources =
        lists.iter().flat_map(|list| list.lines()).filter_map(|line| line.split_whitespace().next());
    let mut real =
        sources.filter(|source| source.starts_with('/')).filter_map(|s| Path::new(s).canonicalize().ok());
    real.find(|source| ours.contains(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_partition_makes_its_disk_mounted() {
        let root = tempfile::tempdir().unwrap();
        let paths = SystemPaths::below(root.path());
        for dir in ["dev", "proc", "sys/class/block/sda/sda1", "sys/class/block/sdb"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        fs::write(root.path().join("sys/class/block/sda/sda1/partition"), "1").unwrap();
        for node in ["sda", "sda1", "sdb"] {
            fs::write(paths.dev.join(node), "").unwrap();
        }
        let (sda, sda1, sdb) = (paths.dev.join("sda"), paths.dev.join("sda1"), paths.dev.join("sdb"));
        fs::write(paths.proc.join("mounts"), format!("{} / ext4 rw 0 0\n", sda1.display())).unwrap();
        fs::write(paths.proc.join("swaps"), "Filename Type\n").unwrap();
        let found = sda1.canonicalize().unwrap();
        assert_eq!(mounted(&sda, &paths), Some(found.clone()));
        assert_eq!(mounted(&sda1, &paths), Some(found));
        assert_eq!(mounted(&sdb, &paths), None);
    }
}
