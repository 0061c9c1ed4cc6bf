//! Which user the daemon is: the one who started it, or with `--user` another one that root lets it become.
//!
//! Names come from `/etc/passwd` and `/etc/group` alone. Other sources would load foreign code into this process, and whoever has them can give
//! numbers.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    set_thread_gid, set_thread_groups, set_thread_res_gid, set_thread_res_uid, set_thread_uid,
};
use tracing::info;

use crate::confine::empty_bounding_set;

/// A user of this host who is not root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    pub(crate) home: PathBuf,
}

/// A user given by name or number.
pub(crate) fn parse_user(user: &str) -> Result<Account, String> {
    let passwd = std::fs::read_to_string("/etc/passwd")
        .map_err(|error| format!("cannot read /etc/passwd: {error}"))?;
    let account = find_user(&passwd, user)
        .ok_or("there is no such user in /etc/passwd; `sudo useradd -r NAME` makes one")?;
    if account.uid.is_root() {
        return Err("that is root, whom it is there to get away from".to_owned());
    }
    Ok(account)
}

/// `name:password:uid:gid:comment:home:shell`
fn find_user(passwd: &str, user: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1)?;
        // The number that the kernel takes for "leave it as it is" is nobody's.
        let number = uid.parse().ok().filter(|uid| *uid != u32::MAX)?;
        (name == user || uid == user).then(|| Account {
            uid: Uid::from_raw(number),
            gid: Gid::from_raw(gid),
            home: home.into(),
        })
    })
}

/// The group of who called `sudo`, for whom the frames must stay readable though the daemon is root's. `None` without `sudo`.
pub(crate) fn sudo_group() -> Option<u32> {
    let group: u32 = sudo_variable("SUDO_GID")?.to_str()?.parse().ok()?;
    info!(
        group,
        "started by sudo: the frames may be read by the group of who called it; --group names another one"
    );
    Some(group)
}

/// Root's home if `sudo` made this process root's: it may have left `HOME` at the caller's, where root's keys do not belong.
pub(crate) fn sudo_home() -> Option<PathBuf> {
    sudo_variable("SUDO_UID")?;
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    find_user(&passwd, "0").map(|root| root.home)
}

fn sudo_variable(name: &str) -> Option<OsString> {
    let is_root = rustix::process::geteuid().is_root();
    std::env::var_os(name).filter(|value| is_root && !value.is_empty())
}

/// Makes this process the user's, for ever, or leaves it whose it is. Gives the directories that only root can make to the user.
///
/// Call this while there is one thread only.
///
/// # Errors
///
/// When it is not root's, or could become root's again.
pub(crate) fn become_user(
    user: Option<&Account>,
    group: Option<u32>,
    directories: [(&Path, Mode); 2],
) -> anyhow::Result<()> {
    // A file can be given to a group by its owner only if he is in it. No other group is needed.
    let groups: Vec<Gid> = group.map(Gid::from_raw).into_iter().collect();
    let Some(user) = user else {
        // Where root may not change its groups, it will be said when the directory is given to one.
        if rustix::process::geteuid().is_root() {
            let _ = set_thread_groups(&groups);
        }
        return Ok(());
    };
    if rustix::process::geteuid() == user.uid {
        return Ok(());
    }
    ensure!(
        rustix::process::geteuid().is_root(),
        "--user: only root can become another user. Start it with sudo, or as that user and without --user"
    );
    let refused = "cannot become the user of --user";
    set_thread_groups(&groups).context(refused)?;
    for (path, mode) in directories {
        make_directory(user, path, mode)
            .with_context(|| format!("cannot make {}", path.display()))?;
    }
    empty_bounding_set().context(refused)?;
    set_thread_res_gid(user.gid, user.gid, user.gid).context(refused)?;
    set_thread_res_uid(user.uid, user.uid, user.uid).context(refused)?;
    if set_thread_uid(Uid::ROOT).is_ok() || set_thread_gid(Gid::ROOT).is_ok() {
        bail!("it could become root again");
    }
    Ok(())
}

/// Makes a directory if it is not there: as the user where he can, else as root, and gives it to him. What is there is left as it is, and judged
/// when it is opened.
///
/// Root makes it only where the user cannot, and through no link: else he could have root make it where it is not meant to be.
fn make_directory(user: &Account, path: &Path, mode: Mode) -> anyhow::Result<()> {
    match as_user(user, || rustix::fs::mkdir(path, mode))? {
        Ok(()) | Err(Errno::EXIST) => return Ok(()),
        Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => {}
        Err(error) => return Err(error.into()),
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        bail!("it has no name");
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let parent = open_directory(CWD, parent)?;
    match rustix::fs::mkdirat(&parent, name, mode) {
        Ok(()) => {}
        // The user may not look into the folder above.
        Err(Errno::EXIST) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let directory = open_directory(&parent, Path::new(name))?;
    rustix::fs::fchown(&directory, Some(user.uid), Some(user.gid))?;
    Ok(())
}

fn open_directory(at: impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(at, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

/// Does something with the user's rights.
fn as_user<T>(user: &Account, action: impl FnOnce() -> T) -> anyhow::Result<T> {
    let group = rustix::process::getegid();
    set_thread_res_gid(None, user.gid, None)?;
    set_thread_res_uid(None, user.uid, None)?;
    let result = action();
    set_thread_res_uid(None, Uid::ROOT, None)?;
    set_thread_res_gid(None, group, None)?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/bash
sdvr:x:990:991:SDVR daemon:/var/lib/sdvr:/usr/sbin/nologin
broken
none:x:4294967295:1::/:
1000:x:1234:1234::/home/1000:
";

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let sdvr = Account {
            uid: Uid::from_raw(990),
            gid: Gid::from_raw(991),
            home: "/var/lib/sdvr".into(),
        };
        assert_eq!(find_user(PASSWD, "sdvr"), Some(sdvr.clone()));
        assert_eq!(find_user(PASSWD, "990"), Some(sdvr));
        for nobody in ["", "sdv", "broken", "none", "4294967295", "991"] {
            assert_eq!(find_user(PASSWD, nobody), None, "{nobody}");
        }
    }

    #[test]
    fn root_is_no_user_to_become() {
        assert!(parse_user("root").unwrap_err().contains("root"));
        assert!(parse_user("0").is_err());
        assert!(parse_user("no-such-user").unwrap_err().contains("useradd"));
    }
}
