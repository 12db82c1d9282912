//! Sets of row numbers, a bit each: filters and deletions.

/// Rows that are in a set. Rows past the end are not.
#[derive(Debug, Clone, Default)]
pub struct Bitmap {
    words: Vec<u64>,
    ones: usize,
}

impl Bitmap {
    /// No row of `rows`.
    pub fn new(rows: usize) -> Self {
        Self { words: vec![0; rows.div_ceil(64)], ones: 0 }
    }

    /// From bits as Arrow keeps them: row 0 is the lowest bit of the first word.
    pub fn from_words(words: Vec<u64>) -> Self {
        let ones = words.iter().map(|word| word.count_ones() as usize).sum();
        Self { words, ones }
    }

    /// How many rows are in the set.
    pub fn ones(&self) -> usize {
        self.ones
    }

    /// The bits, as `from_words` takes them.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    #[inline(always)]
    pub fn contains(&self, row: u32) -> bool {
        let word = self.words.get(row as usize / 64).copied().unwrap_or(0);
        word >> (row % 64) & 1 == 1
    }

    /// Adds a row, growing as needed.
    pub fn insert(&mut self, row: u32) {
        let word = row as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (row % 64);
        self.ones += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    /// The rows that are in both sets.
    pub fn and(&self, other: &Self) -> Self {
        let words = self.words.iter().zip(&other.words).map(|(a, b)| a & b);
        Self::from_words(words.collect())
    }

    /// The rows of the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(i, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(i as u32 * 64 + bit)
            })
        })
    }
}

impl FromIterator<u32> for Bitmap {
    fn from_iter<I: IntoIterator<Item = u32>>(rows: I) -> Self {
        let mut bitmap = Self::default();
        rows.into_iter().for_each(|row| bitmap.insert(row));
        bitmap
    }
}

/// Which rows a search may return: those of the filter that are not deleted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Visible<'a> {
    pub filter: Option<&'a Bitmap>,
    pub deleted: Option<&'a Bitmap>,
}

impl Visible<'_> {
    #[inline(always)]
    pub fn contains(&self, row: u32) -> bool {
        self.filter.is_none_or(|filter| filter.contains(row))
            && !self.deleted.is_some_and(|deleted| deleted.contains(row))
    }

    /// Whether every row is visible without a look.
    pub fn is_all(&self) -> bool {
        self.filter.is_none() && self.deleted.is_none()
    }

    /// At most this many of `rows` are visible.
    pub fn at_most(&self, rows: usize) -> usize {
        self.filter.map_or(rows, |filter| filter.ones().min(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in() {
        let rows = [0, 63, 64, 65, 1000];
        let bitmap: Bitmap = rows.into_iter().chain([64]).collect();
        assert_eq!(bitmap.ones(), 5);
        assert_eq!(bitmap.iter().collect::<Vec<_>>(), rows);
        assert!(bitmap.contains(1000) && !bitmap.contains(999) && !bitmap.contains(u32::MAX));
        let same = Bitmap::from_words(bitmap.words.clone());
        assert_eq!(same.ones(), 5);
        let visible = Visible { filter: Some(&bitmap), deleted: Some(&same) };
        assert!(!visible.contains(64) && visible.at_most(3) == 3);
        let both = bitmap.and(&[1, 64, 65].into_iter().collect());
        assert_eq!((both.iter().collect::<Vec<_>>(), both.ones()), (vec![64, 65], 2));
    }
}
