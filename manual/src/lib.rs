//! Man pages and shell completions of a program, made from its command line: they say what `--help` says.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;

/// Folder of each shell's completions, below `completions/`.
const SHELLS: [(Shell, &str); 3] = [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")];

/// Writes `man/PROGRAM.SECTION`, a page for each subcommand beside it (`man/PROGRAM-SUBCOMMAND.SECTION`), and
/// `completions/SHELL/…` into a folder. What is hidden in the command line stays so.
///
/// # Errors
/// The folder cannot be written.
pub fn write(mut command: Command, section: &str, folder: &Path) -> io::Result<()> {
    let man = folder.join("man");
    fs::create_dir_all(&man)?;
    // A page for `help` would say nothing.
    let mut told = command.clone().disable_help_subcommand(true);
    told.build();
    pages(told, section, &man)?;
    let name = command.get_name().to_owned();
    for (shell, shell_name) in SHELLS {
        let place = folder.join("completions").join(shell_name);
        fs::create_dir_all(&place)?;
        clap_complete::generate_to(shell, &mut command, &name, &place)?;
    }
    Ok(())
}

fn pages(command: Command, section: &str, folder: &Path) -> io::Result<()> {
    let subcommands: Vec<_> = command.get_subcommands().filter(|s| !s.is_hide_set()).cloned().collect();
    subcommands.into_iter().try_for_each(|subcommand| pages(subcommand, section, folder))?;
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let page = clap_mangen::Man::new(command).section(section).title(name.to_uppercase());
    page.render(&mut File::create(folder.join(format!("{name}.{section}")))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    #[test]
    fn a_page_for_each_command_and_a_file_for_each_shell() {
        let serve = Command::new("serve").about("Serves").arg(Arg::new("port").long("port").help("Where"));
        let hidden = Command::new("secret").hide(true);
        let command = Command::new("tool").version("1").about("A tool").subcommands([serve, hidden]);
        let folder = tempfile::tempdir().unwrap();
        write(command, "8", folder.path()).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(read("man/tool.8").contains("tool\\-serve(8)"), "{}", read("man/tool.8"));
        let page = read("man/tool-serve.8");
        assert!(page.contains(".TH TOOL-SERVE 8") && page.contains("\\-\\-port"), "{page}");
        for unwanted in ["secret", "help"] {
            assert!(!folder.path().join(format!("man/tool-{unwanted}.8")).exists(), "{unwanted}");
        }
        for file in ["bash/tool.bash", "zsh/_tool", "fish/tool.fish"] {
            assert!(read(&format!("completions/{file}")).contains("port"), "{file}");
        }
    }
}
