//! Where things lie: `DIR/LABEL/2026-11-23/14-05-00.mp4`, in UTC, and `DIR/LABEL/index.sqlite`.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sdvr_frame::StreamLabel;

use crate::UtcTime;

/// The index's file in a camera's folder.
pub const INDEX_FILE: &str = "index.sqlite";

/// What files of recordings end with.
pub const EXTENSIONS: [&str; 4] = ["mp4", "mkv", "y4m", "raw"];

/// What stands for a label's `/` in the name of a folder. No label has it, so that no two labels have one folder; it means nothing to a shell or a
/// file system, nor does a folder that systems make themselves have it, as `lost+found` has another.
const SLASH: char = ',';

/// The name of a camera's folder: its label, with `,` for each `/`.
///
/// A label begins with a letter or a digit and has neither `/` at its ends nor `..` between two of them: the folder lies in the directory it is
/// made in.
#[must_use]
pub fn folder_name(label: &StreamLabel) -> String {
    label.as_str().replace('/', &SLASH.to_string())
}

/// The label whose folder has this name; `None` when no label's has.
#[must_use]
pub fn label_of_folder(name: &str) -> Option<StreamLabel> {
    if name.contains('/') {
        return None;
    }
    name.replace(SLASH, "/").parse().ok()
}

/// The cameras that have a folder in `directory`, by label. Others' folders are passed over.
///
/// # Errors
///
/// When `directory` cannot be read.
pub fn camera_folders(directory: &Path) -> io::Result<Vec<StreamLabel>> {
    let mut labels = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let label = name.to_str().and_then(label_of_folder);
        // Of a symbolic link it is what that leads to: a camera may have a disk of its own.
        if let Some(label) = label.filter(|_| is_camera_folder(&entry.path())) {
            labels.push(label);
        }
    }
    labels.sort();
    Ok(labels)
}

/// Whether there is an index in it, or a folder of a day. What cannot be looked into counts: that must be told and not passed over.
fn is_camera_folder(folder: &Path) -> bool {
    if !folder.is_dir() {
        return false;
    }
    if folder.join(INDEX_FILE).exists() {
        return true;
    }
    let Ok(mut entries) = fs::read_dir(folder) else {
        return true;
    };
    entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(is_day)))
}

/// Whether it is the name of a day's folder, `2026-11-23`.
pub(super) fn is_day(name: &str) -> bool {
    is_digits_like(name, "0000-00-00")
}

/// Whether it is the name of a recording in a day's folder: `14-05-00.mp4`, `14-05-00-2.mkv`.
pub(super) fn is_recording(name: &str) -> bool {
    let Some((stem, extension)) = name.rsplit_once('.') else {
        return false;
    };
    let (time, number) = match stem.split_at_checked(8) {
        Some((time, "")) => (time, "2"),
        Some((time, rest)) => (time, rest.strip_prefix('-').unwrap_or_default()),
        None => return false,
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    EXTENSIONS.contains(&extension) && is_digits_like(time, "00-00-00") && is_number
}

/// Whether `text` has digits where `pattern` has zeros, and else is the same.
fn is_digits_like(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(byte, pattern)| {
            if pattern == b'0' {
                byte.is_ascii_digit()
            } else {
                byte == pattern
            }
        })
}

/// The path of a recording in its camera's folder: that of the `number`th that begins in this second.
#[must_use]
pub(super) fn recording_path(begins: UtcTime, number: u32, extension: &str) -> String {
    // No camera records before 1970, but a clock may say so.
    let text = UtcTime(begins.0.max(0)).to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, "00:00:00"));
    let time = time.get(..8).unwrap_or("00:00:00").replace(':', "-");
    if number <= 1 {
        format!("{date}/{time}.{extension}")
    } else {
        format!("{date}/{time}-{number}.{extension}")
    }
}

/// The time that the path of a recording says: the beginning of 1970 when there is no such time.
pub(super) fn time_of_path(path: &str) -> UtcTime {
    let time = path.split_once('/').and_then(|(day, name)| {
        let time = name.get(..8)?.replace('-', ":");
        humantime::parse_rfc3339(&format!("{day}T{time}Z")).ok()
    });
    let since_epoch = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let nanoseconds = since_epoch.map_or(0, |since| since.as_nanos());
    UtcTime(i64::try_from(nanoseconds).unwrap_or(i64::MAX))
}

/// Makes a folder that only its owner can look into, in one that is there, and has its name on the disk when it returns: what is recorded in it is to be
/// found after a power cut. One that is there already stays as it is.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            // Where that cannot be done, recordings are none the worse as long as there is power.
            if let Some(Ok(parent)) = folder.parent().map(File::open) {
                let _ = parent.sync_all();
            }
            Ok(())
        }
    }
}

/// The days that have a folder, the first one first.
pub(super) fn days(folder: &Path) -> io::Result<Vec<String>> {
    names(folder, is_day)
}

/// The recordings in a day's folder as paths from the camera's folder, the first one first.
pub(super) fn recordings_of_day(folder: &Path, day: &str) -> io::Result<Vec<String>> {
    let mut names = names(&folder.join(day), is_recording)?;
    // `14-05-00-2` is after `14-05-00`, and `-10` after `-2`.
    names.sort_by_key(|name| {
        let stem = name
            .rsplit_once('.')
            .map_or(name.as_str(), |(stem, _)| stem);
        let (time, number) = stem.split_at_checked(8).unwrap_or((stem, ""));
        let number = number.trim_start_matches('-').parse().unwrap_or(1_u64);
        (time.to_owned(), number, name.clone())
    });
    Ok(names.iter().map(|name| format!("{day}/{name}")).collect())
}

fn names(folder: &Path, is_wanted: fn(&str) -> bool) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if let Some(name) = name.to_str().filter(|name| is_wanted(name)) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// A name beside `path` that nothing has: `index.sqlite.damaged-1`.
pub(super) fn name_aside(path: &Path) -> PathBuf {
    let mut number = 1_u32;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{number}"));
        let aside = PathBuf::from(name);
        if aside.symlink_metadata().is_err() || number == u32::MAX {
            return aside;
        }
        number = number.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters, digits and everything else that a label can have, at every place where it can have it.
    #[test]
    fn every_label_has_a_folder_of_its_own_that_tells_the_label() {
        let alphabet = ('0'..='9').chain('A'..='Z').chain('a'..='z');
        let mut labels: Vec<String> = alphabet.clone().map(String::from).collect();
        for last in alphabet.chain(['.', '_', '-']) {
            labels.push(format!("a{last}"));
            labels.push(format!("a/b{last}"));
            labels.push(format!("a{last}/b"));
        }
        labels.push("x".repeat(63));
        labels.push(format!("{}x", "x/".repeat(31)));
        let mut names = std::collections::HashSet::new();
        for text in labels {
            let label: StreamLabel = text.parse().unwrap();
            let name = folder_name(&label);
            assert_eq!(label_of_folder(&name), Some(label), "{name}");
            let path = Path::new("/dir").join(&name);
            assert_eq!(path.parent(), Some(Path::new("/dir")), "{name}");
            assert_eq!(path.components().count(), 3, "{name}");
            assert!(names.insert(name));
        }
        for name in [
            "",
            ".",
            "..",
            ".x",
            "lost+found",
            ",a",
            "a,",
            "a,,b",
            "a,..",
            "a/b",
            "a b",
        ] {
            assert_eq!(label_of_folder(name), None, "{name}");
        }
    }

    #[test]
    fn paths_are_days_and_times_in_utc() {
        let time = UtcTime(1_795_442_700_123_456_789);
        assert_eq!(recording_path(time, 1, "mp4"), "2026-11-23/14-05-00.mp4");
        assert_eq!(recording_path(time, 2, "mkv"), "2026-11-23/14-05-00-2.mkv");
        assert_eq!(
            recording_path(UtcTime(i64::MIN), 1, "mp4"),
            "1970-01-01/00-00-00.mp4"
        );
        assert_eq!(
            recording_path(UtcTime(i64::MAX), 1, "mp4"),
            "2262-04-11/23-47-16.mp4"
        );
        assert_eq!(
            time_of_path("2026-11-23/14-05-00-2.mkv"),
            UtcTime(1_795_442_700_000_000_000)
        );
        for none in ["2026-13-23/14-05-00.mp4", "", "2026-11-23/\u{e9}.mp4"] {
            assert_eq!(time_of_path(none), UtcTime(0), "{none}");
        }
    }

    #[test]
    fn only_recordings_are_taken_for_recordings() {
        for right in [
            "14-05-00.mp4",
            "14-05-00-2.mkv",
            "00-00-00-123.mp4",
            "00-00-00.y4m",
            "00-00-00.raw",
        ] {
            assert!(is_recording(right), "{right}");
        }
        for wrong in [
            "",
            ".mp4",
            "14-05-00",
            "14-05-00.mp4.tmp",
            "14-05-00-.mp4",
            "14-05-00x.mp4",
            "14:05:00.mp4",
            "index.sqlite",
            "14-05-00.times.csv",
            "14-05-0\u{e9}.mp4",
        ] {
            assert!(!is_recording(wrong), "{wrong}");
        }
        assert!(is_day("2026-11-23") && !is_day("2026-11-23x") && !is_day("2026_11-23"));
    }
}
