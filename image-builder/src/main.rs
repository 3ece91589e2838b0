//! Captures disks, imports images, packs the netboot kernel and initrd.

fn main() {}
