//! The database of an index: its tables, how it is opened, and whether it is what was written.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use sdvr_frame::StreamLabel;

use super::error::{IndexError, is_damage};
use super::segment::{GAP_COLUMNS, SEGMENT_COLUMNS, damage, read_gap, read_segment, seal};

/// "SDVR": tells an index from other databases.
const APPLICATION: i64 = 0x5344_5652;

/// The version of the tables.
const VERSION: i64 = 1;

/// How long another program may keep the database for itself before that is an error. Readers never do.
const PATIENCE: Duration = Duration::from_secs(10);

// `AUTOINCREMENT` gives no number twice, also when the newest segment was removed. Strict tables keep other types out, which finds some damage.
const TABLES: &str = "\
CREATE TABLE camera (label TEXT NOT NULL, seal INTEGER NOT NULL) STRICT;
CREATE TABLE segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    begins INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    frames INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    head_bytes INTEGER NOT NULL,
    checksum BLOB,
    format TEXT NOT NULL,
    fingerprint TEXT,
    seal INTEGER NOT NULL
) STRICT;
CREATE INDEX segments_by_time ON segments (begins);
CREATE INDEX segments_open ON segments (id) WHERE state = 'open';
CREATE TABLE gaps (
    id INTEGER PRIMARY KEY,
    segment INTEGER NOT NULL REFERENCES segments ON DELETE CASCADE,
    begins INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    frames INTEGER NOT NULL,
    reason TEXT NOT NULL,
    seal INTEGER NOT NULL
) STRICT;
CREATE INDEX gaps_by_segment ON gaps (segment);
";

/// What was found where an index is looked for.
pub(super) enum Opened {
    /// One that is what was written, and the bytes of its segments.
    Good(Connection, u64),
    /// None, or one that was being made when that was interrupted: it has no table.
    Fresh(Connection),
    /// One that is not what was written, and what is wrong with it.
    Broken(String),
}

/// Opens the database at `path` to write to it; makes an empty one when there is none.
pub(super) fn open_to_write(path: &Path, label: &StreamLabel) -> Result<Opened, IndexError> {
    make_file(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let result = Connection::open_with_flags(path, flags).and_then(|connection| {
        // The file can be written, or it would not have been opened: what says otherwise is in it.
        if connection.is_readonly("main")? {
            let what = "it is of a kind that can only be read".to_owned();
            return Ok(Found::Opened(Opened::Broken(what)));
        }
        prepare_to_write(&connection)?;
        examine(connection)
    });
    finish(result, path, label, "open")
}

/// Makes an empty file for a database if there is none. The database makes its other files with the rights of this one.
pub(super) fn make_file(path: &Path) -> Result<(), IndexError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| IndexError::io("open", path, error))?;
    Ok(())
}

/// Opens the database at `path` to read it, also while it is written to, and also where nothing can be written; `None` when there is none.
pub(super) fn open_to_read(path: &Path, label: &StreamLabel) -> Result<Option<Opened>, IndexError> {
    match path.metadata() {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(IndexError::io("read", path, error)),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = |connection: Connection| {
        connection.busy_timeout(PATIENCE)?;
        examine(connection)
    };
    let mut result = Connection::open_with_flags(path, flags).and_then(open);
    if result.as_ref().is_err_and(is_refused) {
        // Where nothing can be written, readers cannot agree with a writer, and there is none.
        let name = immutable_name(path);
        let flags = flags | OpenFlags::SQLITE_OPEN_URI;
        result = Connection::open_with_flags(name, flags).and_then(open);
    }
    finish(result, path, label, "read").map(Some)
}

/// A database in memory, for recordings whose index cannot be written.
pub(super) fn open_in_memory() -> rusqlite::Result<Connection> {
    Connection::open_in_memory()
}

/// Makes the tables. Nothing of them is there until the transaction of the caller ends.
pub(super) fn make_tables(connection: &Connection, label: &StreamLabel) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    connection.execute(
        "INSERT INTO camera (label, seal) VALUES (?1, ?2)",
        (label.as_str(), seal(label.as_str())),
    )?;
    Ok(())
}

fn prepare_to_write(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    // A log beside the database: readers do not keep the recorder waiting, nor it them, and a change costs one write at the log's end. Where the
    // file system cannot do that it stays a journal, which costs more and is as safe.
    let _mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // KiB. There may be a thousand of these, and each change touches a handful of pages.
    connection.pragma_update(None, "cache_size", -256)?;
    // Bytes. A reader that stays for long lets the log grow; it is not to stay so.
    connection.pragma_update(None, "journal_size_limit", 1 << 20)?;
    Ok(())
}

/// What else than its rows is to be said of a database.
enum Found {
    Opened(Opened),
    OfLabel(Connection, String, u64),
    OfVersion(i64),
}

fn examine(connection: Connection) -> rusqlite::Result<Found> {
    let number = |name: &str| {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
    };
    let (version, application) = (number("user_version")?, number("application_id")?);
    if version == 0 && application == 0 {
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
        if tables == 0 {
            return Ok(Found::Opened(Opened::Fresh(connection)));
        }
    }
    if application != APPLICATION {
        return Ok(Found::Opened(Opened::Broken(
            "it is another program's database".to_owned(),
        )));
    }
    if version > VERSION {
        return Ok(Found::OfVersion(version));
    }
    let verdict: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(Found::Opened(Opened::Broken(verdict)));
    }
    let (label, label_seal): (String, i64) =
        connection.query_row("SELECT label, seal FROM camera", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    if label_seal != seal(&label) {
        return Err(damage());
    }
    let total_bytes = check_rows(&connection)?;
    Ok(Found::OfLabel(connection, label, total_bytes))
}

/// Looks at every row, which the database itself does not: a value that is another one is a value to it.
fn check_rows(connection: &Connection) -> rusqlite::Result<u64> {
    let mut total_bytes = 0_u64;
    let mut statement = connection.prepare(&format!("SELECT {SEGMENT_COLUMNS} FROM segments"))?;
    for segment in statement.query_map([], read_segment)? {
        total_bytes = total_bytes.saturating_add(segment?.bytes);
    }
    drop(statement);
    let mut statement = connection.prepare(&format!("SELECT {GAP_COLUMNS} FROM gaps"))?;
    for gap in statement.query_map([], read_gap)? {
        gap?;
    }
    drop(statement);
    Ok(total_bytes)
}

fn finish(
    result: rusqlite::Result<Found>,
    path: &Path,
    label: &StreamLabel,
    what: &'static str,
) -> Result<Opened, IndexError> {
    match result {
        Ok(Found::Opened(opened)) => Ok(opened),
        Ok(Found::OfLabel(connection, owner, total_bytes)) => {
            if owner == label.as_str() {
                return Ok(Opened::Good(connection, total_bytes));
            }
            Err(IndexError::OtherCamera {
                folder: path.parent().unwrap_or(path).to_owned(),
                owner,
                label: label.to_string(),
            })
        }
        Ok(Found::OfVersion(version)) => Err(IndexError::Newer {
            path: path.to_owned(),
            version,
            known: VERSION,
        }),
        Err(error)
            if is_damage(&error) || matches!(error, rusqlite::Error::QueryReturnedNoRows) =>
        {
            Ok(Opened::Broken(error.to_string()))
        }
        Err(error) => Err(IndexError::Database {
            what,
            path: path.to_owned(),
            error,
        }),
    }
}

/// Whether a database could not be read because something beside it could not be written.
fn is_refused(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly)
    )
}

/// The name under which the database takes a file for one that nobody changes.
fn immutable_name(path: &Path) -> std::path::PathBuf {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};

    let mut name = b"file:".to_vec();
    // A name that is relative and begins with two slashes would be a host's.
    if path.is_relative() {
        name.extend_from_slice(b"./");
    } else {
        name.extend_from_slice(b"//");
    }
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-') {
            name.push(byte);
        } else {
            name.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    name.extend_from_slice(b"?immutable=1");
    OsString::from_vec(name).into()
}
