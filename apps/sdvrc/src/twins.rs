//! Which products are in this host more than once, remembered: a camera without a serial number is then called after its port also when it is
//! the first one to be found, so that two of them never swap their names.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

/// The file that remembers them: a name a line.
#[derive(Debug)]
pub(crate) struct Twins {
    path: PathBuf,
}

impl Twins {
    /// In the directory of keys, which names go with.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self {
            path: directory.join("twins"),
        }
    }

    /// The products of which several were seen. A file that cannot be read is said, and taken for an empty one.
    pub(crate) fn read(&self) -> BTreeSet<String> {
        match fs::read_to_string(&self.path) {
            Ok(text) => text.lines().map(str::to_owned).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => {
                warn!(file = %self.path.display(), %error, "cannot read which cameras have twins");
                BTreeSet::new()
            }
        }
    }

    /// Remembers them: all of them or, at a failure, those of before.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn write(&self, products: &BTreeSet<String>) -> io::Result<()> {
        let temporary = self.path.with_extension("new");
        let lines: String = products.iter().map(|name| format!("{name}\n")).collect();
        fs::write(&temporary, lines)?;
        fs::File::open(&temporary)?.sync_all()?;
        fs::rename(&temporary, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_are_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let twins = Twins::in_directory(directory.path());
        assert_eq!(twins.read(), BTreeSet::new());
        let products = BTreeSet::from(["cam".to_owned(), "other-cam".to_owned()]);
        twins.write(&products).unwrap();
        assert_eq!(twins.read(), products);
        // What cannot be written leaves what was.
        fs::create_dir(directory.path().join("twins.new")).unwrap();
        assert!(twins.write(&BTreeSet::new()).is_err());
        assert_eq!(twins.read(), products);
    }
}
