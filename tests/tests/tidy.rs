//! What must hold of the tree itself.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// All files below `folder` with that extension, but not what was built or fetched.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && name != ".git" {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
}

fn all(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&root(), extension, &mut found);
    found.sort();
    found
}

#[test]
fn unsafe_code_is_where_it_is_expected() {
    let word = ["unsafe", " {"].concat();
    let licence = ["expect(", "unsafe_code"].concat();
    let shipped = all("rs").into_iter().filter(|path| {
        !path
            .components()
            .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "examples")
    });
    let with_unsafe: Vec<String> = shipped
        .filter(|path| {
            fs::read_to_string(path).unwrap().lines().any(|line| {
                !line.trim_start().starts_with("//")
                    && (line.contains(&word) || line.contains(&licence))
            })
        })
        .map(|path| path.strip_prefix(root()).unwrap().display().to_string())
        .collect();
    assert_eq!(
        with_unsafe,
        [
            "crates/sdvr-ring/src/file_lock.rs",
            "crates/sdvr-ring/src/shared_memory.rs"
        ]
    );
}

#[test]
fn stages_do_not_know_each_other() {
    let stages = ["sdvr-session", "sdvr-transport", "sdvr-ring"];
    for stage in stages {
        let manifest =
            fs::read_to_string(root().join("crates").join(stage).join("Cargo.toml")).unwrap();
        let others = stages.iter().filter(|other| **other != stage);
        for other in others {
            assert!(
                !manifest.lines().any(|line| line.starts_with(other)),
                "{stage} depends on {other}"
            );
        }
    }
}

#[test]
fn no_page_links_to_a_missing_file() {
    for page in all("md") {
        let text = fs::read_to_string(&page).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap();
            if target.is_empty()
                || target.contains("://")
                || target.starts_with("crate::")
                || target.contains("::")
            {
                continue;
            }
            assert!(
                page.parent().unwrap().join(target).exists(),
                "{}: {link}",
                page.display()
            );
        }
    }
}

#[test]
fn licences_are_compatible() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50);
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none");
        let is_free = ["MIT", "Apache-2.0", "BSD-3-Clause", "ISC", "Unlicense"]
            .iter()
            .any(|free| licence.contains(free));
        let is_copyleft_only = licence.contains("GPL") && !licence.contains(" OR ");
        assert!(
            is_free && !is_copyleft_only,
            "{}: {licence}",
            package["name"]
        );
    }
}

#[test]
fn the_readme_s_example_is_the_crate_s() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let example = readme
        .split("```rust\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let library = fs::read_to_string(root().join("crates/sdvr/src/lib.rs")).unwrap();
    let strip = |text: &str| {
        text.lines()
            .map(|line| line.trim_start_matches("//!").trim())
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(
        strip(&library).contains(&strip(&example.replace("test-myhost", "front-door"))),
        "the README's example differs from the one that is compiled"
    );
}
