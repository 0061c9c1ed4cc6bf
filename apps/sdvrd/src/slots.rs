//! A collection whose members have a number that is not used again soon.

/// Values by token. A token of a removed value never names a later one, so that an event that comes late finds nothing.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    values: Vec<Option<(u32, T)>>,
    free: Vec<u32>,
    generation: u32,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self {
            values: Vec::new(),
            free: Vec::new(),
            generation: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len() - self.free.len()
    }

    /// Adds a value; gives its token.
    pub(crate) fn insert(&mut self, value: T) -> u64 {
        self.generation = self.generation.wrapping_add(1);
        let index = self.free.pop().unwrap_or_else(|| {
            self.values.push(None);
            u32::try_from(self.values.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(slot) = self.values.get_mut(index as usize) {
            *slot = Some((self.generation, value));
        }
        token(self.generation, index)
    }

    pub(crate) fn get_mut(&mut self, wanted: u64) -> Option<&mut T> {
        let (generation, index) = parts(wanted);
        self.values
            .get_mut(index as usize)?
            .as_mut()
            .filter(|(own, _)| *own == generation)
            .map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, wanted: u64) -> Option<T> {
        self.get_mut(wanted)?;
        let (_, index) = parts(wanted);
        let (_, value) = self.values.get_mut(index as usize)?.take()?;
        self.free.push(index);
        Some(value)
    }

    /// All tokens, in no order that means anything.
    pub(crate) fn tokens(&self) -> Vec<u64> {
        self.iter().map(|(token, _)| token).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        (0_u32..).zip(&self.values).filter_map(|(index, slot)| {
            slot.as_ref()
                .map(|(generation, value)| (token(*generation, index), value))
        })
    }
}

const fn token(generation: u32, index: u32) -> u64 {
    (generation as u64) << 32 | index as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of a token")]
const fn parts(token: u64) -> (u32, u32) {
    ((token >> 32) as u32, token as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_token_names_nothing_again() {
        let mut slots = Slots::new();
        let first = slots.insert('a');
        assert_eq!(slots.remove(first), Some('a'));
        let second = slots.insert('b');
        assert_ne!(first, second);
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.get_mut(second), Some(&mut 'b'));
        assert_eq!((slots.len(), slots.tokens()), (1, vec![second]));
    }
}
