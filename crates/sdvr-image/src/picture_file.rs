//! A file that is written whole or stays as it was.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Writes a file beside its place and puts it there when all of it is on the disk. Its mode is what the umask leaves of 0666, its modification time
/// is `captured`. A symbolic link stays one: what it points to is replaced. Blocks until the disk has it.
///
/// # Errors
///
/// What the system says; the file is then as it was. What is there and is no file is not replaced.
pub fn write(path: &Path, bytes: &[u8], captured: SystemTime) -> io::Result<()> {
    let path = place_of(path)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".sdvr-snapshot-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        // Without the temporary name, which nobody knows.
        .map_err(|error| match code(&error) {
            Some(code) => io::Error::from_raw_os_error(code),
            None => error,
        })?;
    file.write_all(bytes)?;
    file.as_file().set_modified(captured)?;
    // Some file systems say only now that they are full, and a name must not outlive the bytes in a power cut.
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// What the system has said, also where a path was put around it.
fn code(error: &io::Error) -> Option<i32> {
    let cause = || {
        std::error::Error::source(error)?
            .downcast_ref::<io::Error>()?
            .raw_os_error()
    };
    error.raw_os_error().or_else(cause)
}

/// Where the file is to be; what is there may only be a file.
fn place_of(path: &Path) -> io::Result<PathBuf> {
    let is = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path.to_owned()),
        is => is?,
    };
    let place = if is.is_symlink() {
        std::fs::canonicalize(path)?
    } else {
        path.to_owned()
    };
    if std::fs::metadata(&place)?.is_file() {
        return Ok(place);
    }
    Err(io::Error::other(
        "it is a directory or a device, and only a file can be replaced",
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn captured() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("it is there");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("it can be read")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_file_is_replaced_and_dated_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("a.jpg");
        for bytes in [&b"old and longer"[..], b"new"] {
            write(&path, bytes, captured()).expect("there is room");
            assert_eq!(std::fs::read(&path).expect("it was written"), bytes);
        }
        let modified = std::fs::metadata(&path)
            .and_then(|is| is.modified())
            .expect("it was written");
        assert_eq!(modified, captured());
        assert_eq!(names(folder.path()), ["a.jpg"]);
    }

    #[test]
    fn a_link_stays_and_its_file_is_replaced() {
        let folder = tempfile::tempdir().expect("there is room");
        let (file, link) = (folder.path().join("a.jpg"), folder.path().join("link.jpg"));
        std::fs::write(&file, b"old").expect("there is room");
        std::os::unix::fs::symlink("a.jpg", &link).expect("there is room");
        write(&link, b"new", captured()).expect("there is room");
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&file).expect("it was written"), b"new");
        assert_eq!(names(folder.path()), ["a.jpg", "link.jpg"]);
    }

    #[test]
    fn what_is_no_file_stays() {
        let folder = tempfile::tempdir().expect("there is room");
        let (inner, dangling) = (folder.path().join("a.jpg"), folder.path().join("b.jpg"));
        std::fs::create_dir(&inner).expect("there is room");
        std::os::unix::fs::symlink("nowhere/b.jpg", &dangling).expect("there is room");
        for path in [
            &inner,
            &dangling,
            Path::new("/dev/null"),
            &folder.path().join("no/c.jpg"),
        ] {
            write(path, b"new", captured()).expect_err("it is no file");
        }
        assert!(inner.is_dir() && dangling.is_symlink());
        assert_eq!(names(folder.path()), ["a.jpg", "b.jpg"]);
    }
}
