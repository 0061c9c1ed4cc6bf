//! How the threads that wait for members tell their group.

use std::sync::{Mutex, PoisonError};

use sdvr_ring::Doorbell;

use super::Member;

/// Who has something to say, of those that are waited for by other threads.
#[derive(Debug, Default)]
pub(crate) struct News {
    members: Mutex<Vec<Member>>,
    bell: Doorbell,
}

impl News {
    pub(crate) fn tell(&self, member: Member) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.push(member);
        let is_first = members.len() == 1;
        drop(members);
        // The group takes all at once, so whoever comes second need not wake it.
        if is_first {
            self.bell.ring();
        }
    }

    /// Those that were told of since the last time.
    pub(super) fn take(&self) -> Vec<Member> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *members)
    }

    /// Rings when there is news.
    pub(super) const fn bell(&self) -> &Doorbell {
        &self.bell
    }
}
