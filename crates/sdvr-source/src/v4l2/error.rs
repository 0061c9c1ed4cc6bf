//! What can go wrong with a camera, and what to do about it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::choice::ChoiceError;
use super::controls::ControlError;
use super::devices;

/// Why a camera gives no frames.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No such node.
    #[error("there is no {}; {}", .path.display(), cameras_text(.cameras))]
    Missing {
        /// The node that was named.
        path: PathBuf,
        /// Those there are.
        cameras: Vec<String>,
    },
    /// It is a device, but not one that pictures come from.
    #[error("{} is no camera: it captures no pictures; {}", .path.display(), cameras_text(.cameras))]
    NotACamera {
        /// The node that was named.
        path: PathBuf,
        /// Those there are.
        cameras: Vec<String>,
    },
    /// Its driver only lets pictures be read by `read`.
    #[error("the driver of {} has no streaming I/O, which is needed", .0.display())]
    NoStreaming(PathBuf),
    /// Another program uses it.
    #[error("{} is in use by {}; end that program first", .path.display(), .holder.as_deref().unwrap_or("another program (sudo fuser -v says which)"))]
    Busy {
        /// The node.
        path: PathBuf,
        /// Which program, if that can be seen.
        holder: Option<String>,
    },
    /// Not for this user.
    #[error("no permission to open {}; {}", .path.display(), permission_remedy(.group.as_deref()))]
    Permission {
        /// The node.
        path: PathBuf,
        /// The group that may open it; `None` when no group may.
        group: Option<String>,
    },
    /// The USB cannot carry the frames.
    #[error("{}: its USB controller has no room left for what it would send; plug it into another controller's port, or have this and other cameras send less with -f MJPG, -s and -r", .0.display())]
    NoBandwidth(PathBuf),
    /// The device has no such format or size.
    #[error("{}: {error}", .path.display())]
    Choice {
        /// The node.
        path: PathBuf,
        /// What there is.
        error: ChoiceError,
    },
    /// Nothing comes in at its input, or nothing that it can capture.
    #[error("{}: no signal at its input that it can capture ({error}); is something plugged in, and switched on?", .path.display())]
    NoSignal {
        /// The node.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A control cannot be set so.
    #[error("{}: {error}", .path.display())]
    Control {
        /// The node.
        path: PathBuf,
        /// Why not.
        error: ControlError,
    },
    /// The driver refused something.
    #[error("cannot {action} {}: {error}", .path.display())]
    Driver {
        /// What was tried.
        action: &'static str,
        /// The node.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

impl DeviceError {
    /// Whether other options would help, rather than another state of the world.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NotACamera { .. }
                | Self::NoStreaming(_)
                | Self::Choice { .. }
                | Self::Control { .. }
        )
    }

    /// What a failed call means.
    pub(crate) fn of_call(action: &'static str, path: &Path, error: Errno) -> Self {
        let path = path.to_owned();
        match error {
            Errno::BUSY => {
                let holder = holder(&path);
                Self::Busy { path, holder }
            }
            // Of a camera's start, it is about its bus.
            Errno::NOSPC => Self::NoBandwidth(path),
            error => Self::Driver {
                action,
                path,
                error: error.into(),
            },
        }
    }
}

/// What a failed opening means.
pub(crate) fn open_problem(path: &Path, error: Errno) -> DeviceError {
    let path = path.to_owned();
    match error {
        Errno::ACCESS | Errno::PERM => {
            let group = opening_group(&path);
            DeviceError::Permission { path, group }
        }
        Errno::NOENT | Errno::NODEV | Errno::NXIO | Errno::NOTDIR => missing(&path),
        Errno::ISDIR => not_a_camera(&path),
        error => DeviceError::of_call("open", &path, error),
    }
}

pub(crate) fn missing(path: &Path) -> DeviceError {
    DeviceError::Missing {
        path: path.to_owned(),
        cameras: camera_names(),
    }
}

pub(crate) fn not_a_camera(path: &Path) -> DeviceError {
    DeviceError::NotACamera {
        path: path.to_owned(),
        cameras: camera_names(),
    }
}

fn permission_remedy(group: Option<&str>) -> String {
    match group {
        Some(group) => format!(
            "it is for the group {group}: sudo usermod -aG {group} $USER, then log in again"
        ),
        None => "its owner alone may, and no group: run this as root, or let udev give it to a group such as video".to_owned(),
    }
}

/// The group whose members may open a node, by its name or its number.
fn opening_group(path: &Path) -> Option<String> {
    const GROUP_MAY: u32 = 0o060;
    let facts = fs::metadata(path).ok()?;
    if facts.mode() & GROUP_MAY != GROUP_MAY {
        return None;
    }
    let number = facts.gid().to_string();
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let name = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, id) = (fields.next()?, fields.next()?, fields.next()?);
        (id == number).then(|| name.to_owned())
    });
    Some(name.unwrap_or(number))
}

fn camera_names() -> Vec<String> {
    let cameras = devices::devices();
    let names = cameras
        .iter()
        .map(|device| format!("{} ({})", device.path.display(), device.card));
    names.collect()
}

fn cameras_text(cameras: &[String]) -> String {
    if cameras.is_empty() {
        "this host has no camera (or this user may not see it: sdvrc --list)".to_owned()
    } else {
        format!("this host has {}", cameras.join(", "))
    }
}

/// The program that has a node open, as far as this user can see: its name and number.
fn holder(path: &Path) -> Option<String> {
    let node = fs::canonicalize(path).ok()?;
    let own = std::process::id();
    let processes = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        (id != own).then_some((id, entry.path()))
    });
    for (id, folder) in processes {
        let Ok(files) = fs::read_dir(folder.join("fd")) else {
            continue;
        };
        let has_it = files
            .flatten()
            .any(|file| fs::read_link(file.path()).is_ok_and(|target| target == node));
        if has_it {
            let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
            return Some(format!("{} (process {id})", name.trim()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_holds_a_file_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut sleeper = std::process::Command::new("sleep")
            .arg("60")
            .stdin(file.reopen().unwrap())
            .spawn()
            .unwrap();
        let named = holder(file.path());
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        // Until it has become `sleep`, it is called as this program is.
        let named = named.unwrap();
        assert!(
            named.ends_with(&format!("(process {})", sleeper.id())),
            "{named}"
        );
        assert_eq!(holder(file.path()), None);
    }

    #[test]
    fn errors_carry_their_remedy() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mode = |mode| {
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(file.path(), permissions).unwrap();
            open_problem(file.path(), Errno::ACCESS).to_string()
        };
        let group = opening_group(Path::new("/dev/null"));
        assert_eq!(group.as_deref(), Some("root"));
        assert!(mode(0o660).contains("sudo usermod -aG"), "{}", mode(0o660));
        assert!(mode(0o600).contains("no group"), "{}", mode(0o600));
        let path = Path::new("/dev/video9");
        let text = open_problem(path, Errno::NOENT).to_string();
        assert!(text.contains("there is no /dev/video9"), "{text}");
        let text = DeviceError::of_call("start", path, Errno::BUSY).to_string();
        assert!(text.contains("in use by another program"), "{text}");
        let text = DeviceError::of_call("start", path, Errno::NOSPC).to_string();
        assert!(text.contains("USB controller has no room"), "{text}");
        let text = DeviceError::of_call("start", path, Errno::IO).to_string();
        assert!(text.contains("cannot start /dev/video9"), "{text}");
    }
}
