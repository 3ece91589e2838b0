//! What was written, looked at as files: the file system of a volume, mounted by the kernel where nobody else sees it, and
//! its tree of files, which nothing leads out of.

pub(crate) mod mount;
pub(crate) mod patches;
pub(crate) mod tree;
pub(crate) mod volume;
