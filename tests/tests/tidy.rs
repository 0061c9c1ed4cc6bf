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

/// What of Rust's text is code: comments, strings and characters are blank.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let before = code.chars().next_back();
        let is_in_word = before.is_some_and(|before| before == '_' || before.is_alphanumeric());
        let blank = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment_bytes(rest),
            '"' => string_bytes(rest),
            '\'' => character_bytes(rest),
            'r' | 'b' | 'c' if !is_in_word => raw_string_bytes(rest),
            _ => 0,
        };
        if blank > 0 {
            code.push(' ');
            rest = &rest[blank..];
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

/// How long the comment is that `text` begins with. They nest.
fn block_comment_bytes(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text.as_bytes()[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text.as_bytes()[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
        } else {
            at += 1;
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// How long the quoted text is that `text` begins with.
fn string_bytes(text: &str) -> usize {
    let quote = text.as_bytes()[0];
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        if byte == b'\\' {
            bytes.next();
        } else if byte == quote {
            return at + 1;
        }
    }
    text.len()
}

/// How long the character is that `text` begins with; 0 when it is a lifetime.
fn character_bytes(text: &str) -> usize {
    let mut characters = text.chars().skip(1);
    let first = characters.next();
    if first == Some('\\') || characters.next() == Some('\'') {
        string_bytes(text)
    } else {
        0
    }
}

/// How long the raw string is that `text` begins with; 0 when it is none.
fn raw_string_bytes(text: &str) -> usize {
    let marks = text.trim_start_matches(['b', 'c']);
    let Some(marks) = marks.strip_prefix('r') else {
        return 0;
    };
    let content = marks.trim_start_matches('#');
    let hashes = marks.len() - content.len();
    if !content.starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = text.len() - content.len() + 1;
    text[begin..]
        .find(&end)
        .map_or(text.len(), |length| begin + length + end.len())
}

/// Whether the text has code that the compiler does not check, or the licence to have some.
fn has_unsafe_code(text: &str) -> bool {
    let code = code_of(text);
    let mut words = code.split(|character: char| character != '_' && !character.is_alphanumeric());
    let licences = ["expect(", "allow(", "warn("];
    let mut licences = licences
        .iter()
        .flat_map(|level| code.split(level).skip(1))
        .filter_map(|rest| rest.split(')').next());
    words.any(|word| word == "unsafe") || licences.any(|lints| lints.contains("unsafe_code"))
}

#[test]
fn unsafe_code_is_seen_in_every_form() {
    for text in [
        "unsafe { f() }",
        "unsafe{f()}",
        "unsafe\n{ f() }",
        "pub unsafe fn f() {}",
        "unsafe impl Send for Mapping {}",
        "unsafe trait Plain {}",
        "unsafe extern \"C\" { fn getpid() -> i32; }",
        "#[unsafe(no_mangle)] fn f() {}",
        "let f: unsafe fn() = g;",
        "/* a /* nested */ comment */ unsafe fn f() {}",
        "let quote = '\"'; unsafe { f() }; let end = '\"';",
        "fn f<'a>(x: &'a str) { unsafe { g(x) } } // 'a'",
        "let text = r#\"\"\"#; unsafe { f() }; let text = \"\";",
        "let byte = b'\\''; unsafe { f() }; let byte = b'x';",
        "let text = \"\\\"\"; unsafe { f() } //\"",
        "#![expect(unsafe_code, reason = \"…\")]",
        "#[allow(\n    dead_code,\n    unsafe_code,\n)]",
    ] {
        assert!(has_unsafe_code(text), "{text}");
    }
    for text in [
        "#![forbid(unsafe_code)]",
        "#![deny(unsafe_code, unsafe_op_in_unsafe_fn)]",
        "// unsafe { f() }",
        "//! unsafe fn f()",
        "/* unsafe { f() } /* unsafe */ unsafe */ fn f() {}",
        "let text = \"unsafe { f() }\";",
        "let text = \"\\\" unsafe { f() }\";",
        "let text = br##\"unsafe \"# unsafe \"##;",
        "let text = \"two lines\nunsafe { f() }\";",
        "let not_unsafe = unsafely;",
    ] {
        assert!(!has_unsafe_code(text), "{text}");
    }
}

#[test]
fn unsafe_code_is_where_it_is_expected() {
    let shipped = all("rs").into_iter().filter(|path| {
        !path
            .components()
            .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "examples")
    });
    let with_unsafe: Vec<String> = shipped
        .filter(|path| has_unsafe_code(&fs::read_to_string(path).unwrap()))
        .map(|path| path.strip_prefix(root()).unwrap().display().to_string())
        .collect();
    assert_eq!(
        with_unsafe,
        [
            "bindings/c/src/arguments.rs",
            "bindings/c/src/camera.rs",
            "bindings/c/src/cameras.rs",
            "bindings/c/src/each.rs",
            "bindings/c/src/frame.rs",
            "bindings/c/src/group.rs",
            "bindings/c/src/library.rs",
            "bindings/c/src/picture.rs",
            "bindings/c/src/publisher.rs",
            "crates/sdvr-decode/src/h264/open_h264.rs",
            "crates/sdvr-decode/src/libav/raw.rs",
            "crates/sdvr-ring/src/file_lock.rs",
            "crates/sdvr-ring/src/shared_memory.rs",
            "crates/sdvr-source/src/v4l2/device.rs",
            "crates/sdvr-transport/src/packet_ring.rs",
            "crates/sdvr-transport/src/packet_socket.rs",
            "crates/sdvr-transport/src/socket_options.rs"
        ]
    );
}

#[test]
fn stages_do_not_know_each_other() {
    let stages = ["sdvr-session", "sdvr-transport", "sdvr-ring", "sdvr-decode"];
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
        // Those of other systems are not linked, nor fetched by the build.
        .args(["metadata", "--format-version", "1", "--offline"])
        .args([
            "--filter-platform",
            &format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
        ])
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
        let is_free = [
            "MIT",
            "Apache-2.0",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "ISC",
            "Unlicense",
            "Zlib",
        ]
        .iter()
        .any(|free| licence.contains(free));
        // Writes the C header on a developer's machine, and is linked to nothing.
        if package["name"] == "cbindgen" {
            assert_eq!(licence, "MPL-2.0");
            continue;
        }
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
