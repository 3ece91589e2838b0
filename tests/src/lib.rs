//! End-to-end tests and benchmarks that drive the ezio binaries.
