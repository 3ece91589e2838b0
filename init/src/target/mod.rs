//! What was written, looked at as files: a partition's file system, mounted by the kernel where nobody else sees it, and
//! its tree of files, which nothing leads out of.

pub(crate) mod mount;
pub(crate) mod patches;
pub(crate) mod tree;
