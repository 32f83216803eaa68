//! Codes for texts of which there are few different ones.

/// A column with more different texts than this is kept as text.
pub(super) const MOST_CODED: usize = 1 << 14;
/// A text that is this far from its slot is not taken in: the texts are made to fall together.
const MOST_STEPS: usize = 64;

/// The different texts of a column in the order of their first appearance, found again by an open-addressed table.
pub(crate) struct Dictionary {
    levels: Vec<String>,
    /// Code + 1 of each slot; 0 where it is free.
    slots: Vec<u32>,
    most: usize,
}

impl Dictionary {
    pub(crate) fn new(most: usize) -> Self {
        Self { levels: Vec::new(), slots: vec![0; 64], most }
    }

    /// A dictionary that goes on from different texts.
    pub(super) fn of(levels: Vec<String>, most: usize) -> Self {
        let n_slots = (levels.len() * 2).next_power_of_two().max(64);
        let mut dictionary = Self { levels, slots: Vec::new(), most };
        dictionary.place(n_slots);
        dictionary
    }

    /// The code of a text, new or known; nothing if there would be too many.
    pub(crate) fn code(&mut self, text: &str) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut slot = hash(text.as_bytes()) as usize & mask;
        let mut steps = 0;
        loop {
            match self.slots[slot] {
                0 => break,
                code if self.levels[code as usize - 1] == text => return Some(code - 1),
                _ => slot = (slot + 1) & mask,
            }
            steps += 1;
        }
        if self.levels.len() >= self.most || steps > MOST_STEPS {
            return None;
        }
        self.levels.push(text.to_owned());
        self.slots[slot] = self.levels.len() as u32;
        // At most half full, so that a search ends soon.
        if self.levels.len() * 2 > self.slots.len() {
            self.place(self.slots.len() * 2);
        }
        Some(self.levels.len() as u32 - 1)
    }

    /// Gives the levels new slots.
    fn place(&mut self, n_slots: usize) {
        let mask = n_slots - 1;
        let mut slots = vec![0; n_slots];
        for (level, code) in self.levels.iter().zip(1..) {
            let mut slot = hash(level.as_bytes()) as usize & mask;
            while slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            slots[slot] = code;
        }
        self.slots = slots;
    }

    pub(crate) fn len(&self) -> usize {
        self.levels.len()
    }

    pub(crate) fn into_levels(self) -> Vec<String> {
        self.levels
    }
}

/// Eight bytes at a time, each multiplied into the sum: fast, and not proof against texts made to fall together, which
/// [`MOST_STEPS`] bounds the harm of.
///
/// The upper half of each product is folded into the lower (as wyhash does, Wang Yi 2019): the lower bits, which choose the
/// slot, would else not see the last letters of a short text, and `note 10` to `note 99` would fall together.
fn hash(bytes: &[u8]) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let folded = |a: u64| {
        let product = u128::from(a) * u128::from(K);
        (product as u64) ^ (product >> 64) as u64
    };
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut h = bytes.len() as u64;
    for chunk in chunks {
        h = folded(h ^ u64::from_le_bytes(*chunk));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    folded(folded(h ^ u64::from_le_bytes(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_counted_through_do_not_fall_together() {
        let shapes: [fn(usize) -> String; 9] = [
            |i| i.to_string(),
            |i| format!("note {i}"),
            |i| format!("n{i:06}"),
            |i| format!("patient {i}"),
            |i| format!("{i} days"),
            |i| format!("{i}{}", "0".repeat(12)),
            |i| format!("2024-01-01 {:02}:{:02}:{:02}", i / 3600, i / 60 % 60, i % 60),
            |i| "x".repeat(i % 300) + &i.to_string(),
            |i| format!("{}.{:03}", i % 7, i),
        ];
        for shape in shapes {
            let mut dictionary = Dictionary::new(1 << 16);
            for i in 0..60_000 {
                assert_eq!(dictionary.code(&shape(i)), Some(i as u32), "{}", shape(i));
            }
        }
    }
}
