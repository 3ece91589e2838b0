//! README's table of layouts: each row names tests, and they are there.

use std::fs;
use std::path::Path;

/// The sources of a test program: a file, or the files of a folder.
fn sources(program: &str) -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    match fs::read_dir(tests.join(program)) {
        Ok(files) => files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect(),
        Err(_) => fs::read_to_string(tests.join(format!("{program}.rs"))).unwrap_or_default(),
    }
}

#[test]
fn every_layout_of_the_readme_is_a_test() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, section) = readme.split_once("\n## Layouts\n").expect("the section");
    let rows: Vec<&str> = section
        .lines()
        .skip_while(|line| !line.starts_with("| --- "))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(rows.len() >= 13, "{rows:?}");
    for row in rows {
        let named: Vec<_> = row.split('`').filter_map(|word| word.split_once("::")).collect();
        assert!(!named.is_empty(), "no test shows this: {row}");
        for (program, test) in named {
            assert!(
                sources(program).contains(&format!("\nfn {test}(")),
                "{program} has no test {test}: {row}"
            );
        }
    }
}
