//! Writes the manual pages into a directory: `cargo xtask man DIR`.
//!
//! They are made of the command lines' own descriptions, so that a page cannot differ from `--help`. A program of its own, so that the programs
//! themselves need not know how pages are written.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{CommandFactory, Parser};
use clap_mangen::Man;

/// User programs, and one that runs in the background.
const PROGRAMS: &str = "1";
const DAEMONS: &str = "8";

/// Writes the manual pages of sdvr, sdvrc and sdvrd.
#[derive(Debug, Parser)]
#[command(name = "sdvr-man")]
struct Arguments {
    /// Where; made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let directory = Arguments::parse().directory;
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    write_pages(sdvr_cli::Arguments::command(), PROGRAMS, &directory)?;
    for command in sdvr_cli::link_commands() {
        write_pages(command, PROGRAMS, &directory)?;
    }
    write_pages(sdvrc::Arguments::command(), PROGRAMS, &directory)?;
    write_pages(sdvrd::Arguments::command(), DAEMONS, &directory)
}

/// A page for the program and one for each of its subcommands, as `git` has them.
fn write_pages(command: clap::Command, section: &str, directory: &Path) -> anyhow::Result<()> {
    let mut command = command.disable_help_subcommand(true);
    // Fills in the names of subcommands, `sdvr-ls`.
    command.build();
    let mut waiting = vec![command];
    while let Some(command) = waiting.pop() {
        let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        waiting.extend(shown.cloned());
        let man = Man::new(command.clone()).section(section).manual("SDVR");
        let path = directory.join(man.get_filename());
        fs::write(&path, page(&man, &command)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn page(man: &Man, command: &clap::Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim_start();
    writeln!(page, ".SH SYNOPSIS\n{}", literal(usage))?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(text) = command.get_after_help() {
        // As it stands: its columns and lines would not survive being filled.
        writeln!(page, ".SH NOTES\n.nf")?;
        for line in text.to_string().lines() {
            writeln!(page, "{}", literal(line))?;
        }
        writeln!(page, ".fi")?;
    }
    Ok(page)
}

/// A line that means nothing to roff. A dash that is typed must stay one.
fn literal(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    let text = text.replace('\'', "\\(aq");
    // A dot at its beginning would be a command.
    if text.starts_with('.') {
        format!("\\&{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_text_is_no_command_of_roff() {
        assert_eq!(literal(".TH x"), "\\&.TH x");
        assert_eq!(literal("'\\' a-b"), "\\(aq\\e\\(aq a\\-b");
    }
}
