//! PID 1 of a netbooted machine: fetches its orders and writes the image to disk.

fn main() {}
