//! The program that clients run hashes by the processor's own instructions: a piece is hashed between its arrival and its
//! way on, and by ordinary instructions that takes several times as long.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use ezio_tests::programs;

/// A block of SHA-1 has 80 rounds, and the instruction does four.
const ROUNDS: usize = 80 / 4;

#[test]
fn the_musl_build_has_the_instructions_for_sha1() {
    programs::need(&["objdump"]).unwrap();
    let program = programs::find("ezio-init").unwrap();
    let mut objdump = Command::new("objdump");
    objdump.args(["--disassemble", "--no-show-raw-insn"]).arg(&program).stdout(Stdio::piped());
    let mut objdump = objdump.spawn().unwrap();
    let code = BufReader::new(objdump.stdout.take().unwrap()).lines().map_while(Result::ok);
    let found = code.filter(|line| line.contains("sha1rnds4")).count();
    assert!(objdump.wait().unwrap().success());
    assert!(found >= ROUNDS, "{}: sha1rnds4 occurs {found} times", program.display());
}
