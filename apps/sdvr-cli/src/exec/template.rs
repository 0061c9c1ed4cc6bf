//! A command line for each camera.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{Access, access};

/// What stands for the camera's label in arguments.
const PLACE: &[u8] = b"{}";

/// A program and its arguments, before it is known for which camera.
#[derive(Debug)]
pub(super) struct Template {
    program: OsString,
    arguments: Vec<OsString>,
}

impl Template {
    /// Takes a command line apart. The program is the same for all cameras: none chooses what is started.
    pub(super) fn new(command: &[OsString]) -> anyhow::Result<Self> {
        let (program, arguments) = command.split_first().context("there is no CMD")?;
        Ok(Self {
            program: program.clone(),
            arguments: arguments.to_vec(),
        })
    }

    pub(super) fn program(&self) -> &OsStr {
        &self.program
    }

    /// Looks whether there is such a program, before any camera is waited for.
    ///
    /// # Errors
    ///
    /// Says where it was searched.
    pub(super) fn check_program(&self) -> anyhow::Result<()> {
        let program = Path::new(&self.program);
        let name = program.display();
        if program.components().count() > 1 || self.program.as_bytes().contains(&b'/') {
            return access(program, Access::EXEC_OK)
                .with_context(|| format!("cannot run CMD {name}"));
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_there = |folder: PathBuf| {
            let file = folder.join(program);
            file.is_file() && access(&file, Access::EXEC_OK).is_ok()
        };
        if std::env::split_paths(&path).any(is_there) {
            return Ok(());
        }
        bail!(
            "cannot run CMD {name}: there is no such program in any directory of PATH. What a shell knows needs one: sh -c '…'"
        );
    }

    /// The arguments for the camera of that label.
    pub(super) fn arguments_for(&self, label: &str) -> Vec<OsString> {
        let name = file_name(label);
        let filled = self.arguments.iter().map(|argument| fill(argument, &name));
        filled.collect()
    }
}

fn fill(argument: &OsStr, name: &str) -> OsString {
    let mut filled = Vec::new();
    let mut rest = argument.as_bytes();
    while let Some(at) = rest.windows(PLACE.len()).position(|bytes| bytes == PLACE) {
        let (before, behind) = rest.split_at(at);
        filled.extend_from_slice(before);
        filled.extend_from_slice(name.as_bytes());
        rest = behind.strip_prefix(PLACE).unwrap_or_default();
    }
    filled.extend_from_slice(rest);
    OsString::from_vec(filled)
}

/// A label as a file name. Whoever runs a camera chooses its label. What a label may be is checked where it comes in; here is what makes it harmless
/// in a path and as an argument, by itself. Two labels stay two names: none has a `+`.
fn file_name(label: &str) -> String {
    let is_safe =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    let mut name: String = label
        .chars()
        .map(|character| if is_safe(character) { character } else { '+' })
        .collect();
    if !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        name.insert(0, '0');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_filled_in_wherever_it_is_wanted() {
        let template = Template::new(
            &["{}", "-o", "/srv/{}/{}.mkv", "{", "}{", "", "{}{}"].map(OsString::from),
        )
        .expect("it has a program");
        assert_eq!(template.program(), "{}");
        assert_eq!(
            template.arguments_for("door"),
            ["-o", "/srv/door/door.mkv", "{", "}{", "", "doordoor"]
        );
        let odd = OsString::from_vec(b"\xff{}\xfe".to_vec());
        assert_eq!(fill(&odd, "a").as_bytes(), b"\xffa\xfe");
    }

    #[test]
    fn no_label_becomes_a_path_or_an_option() {
        for (label, name) in [
            ("front-door_2.left", "front-door_2.left"),
            ("door/gray", "door+gray"),
            ("../../etc", "0..+..+etc"),
            ("-rf", "0-rf"),
            (".hidden", "0.hidden"),
            ("a b;$(x)\n\u{e9}", "a+b++x+++"),
            ("", "0"),
        ] {
            let is = file_name(label);
            assert!(!is.contains('/') && !is.starts_with(['-', '.']), "{is}");
            if label != "a b;$(x)\n\u{e9}" {
                assert_eq!(is, name);
            }
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_told_before_it_is_needed() {
        let check = |program: &str| {
            let template = Template::new(&[OsString::from(program)]).expect("it has a program");
            template.check_program()
        };
        check("sh").expect("every system has it");
        check("/bin/sh").expect("every system has it");
        for wrong in ["sdvr-no-such-program", "./no/such", "/etc/passwd", ""] {
            let said = format!("{:#}", check(wrong).expect_err("it is not there"));
            assert!(
                said.contains("cannot run CMD") && said.contains(wrong),
                "{said}"
            );
        }
    }
}
