//! An index that is found damaged while it is recorded: it is made anew at once, and recording goes on.

use super::error::is_damage;
use super::rebuild::{self, Salvage};
use super::recovery::Identity;
use super::{INDEX_FILE, Index, IndexError, opening};

impl Index {
    /// Does something with the index, and if that fails because it is damaged, once more with one that is made anew.
    ///
    /// Numbers of segments are others then, but for that of the one that is being written.
    pub(super) fn mended<T>(
        &mut self,
        mut work: impl FnMut(&mut Self) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        match work(self) {
            Err(error) => {
                self.mend(error)?;
                work(self)
            }
            done => done,
        }
    }

    /// Makes the index anew if this is what its damage leads to.
    ///
    /// # Errors
    ///
    /// The same if it is something else, and what happens meanwhile.
    pub(crate) fn mend(&mut self, error: IndexError) -> Result<(), IndexError> {
        match error {
            // Who only reads has no identity, and no right to change anything.
            IndexError::Database { error, .. } if is_damage(&error) && self.identity.is_some() => {
                self.make_anew(&error)
            }
            error => Err(error),
        }
    }

    fn make_anew(&mut self, damage: &rusqlite::Error) -> Result<(), IndexError> {
        let path = self.folder.join(INDEX_FILE);
        let aside = match self.aside.take() {
            Some(aside) => aside,
            None => opening::put_aside(&path)?,
        };
        self.aside = Some(aside.clone());
        let mut salvage = Salvage::of(&aside);
        self.connection = opening::reopen(&path, &self.label)?;
        self.identity = Identity::of(&path);
        let begun = self.begun.clone();
        let gaps = begun
            .as_ref()
            .map(|begun| salvage.take_gaps(&begun.path))
            .unwrap_or_default();
        let mut known = rebuild::gather(&self.folder, salvage, &mut |_| {})?;
        if let Some(begun) = begun {
            known.retain(|(segment, _)| segment.path != begun.path);
            known.push((begun, gaps));
        }
        let count = known.len();
        self.fill(known, self.last_id)?;
        self.aside = None;
        self.notices.push(format!(
            "{}: the index was found damaged ({damage}); it is kept as {} and was made anew of {count} recordings",
            self.folder.display(),
            aside.display()
        ));
        Ok(())
    }

    /// What people should know that happened since this was last asked: that the index was made anew.
    pub fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }
}
