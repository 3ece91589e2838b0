//! Linux block devices for ezio: discovery, checked access, partition table re-read.
