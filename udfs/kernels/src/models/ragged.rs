//! Rows of different lengths in one piece of memory.

/// Rows of different lengths, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ragged<T> {
    pub ends: Vec<u64>,
    pub values: Vec<T>,
}

impl<T> Default for Ragged<T> {
    fn default() -> Self {
        Self { ends: Vec::new(), values: Vec::new() }
    }
}

impl<T> Ragged<T> {
    pub fn push(&mut self, row: impl IntoIterator<Item = T>) {
        self.values.extend(row);
        self.ends.push(self.values.len() as u64);
    }

    pub fn clear(&mut self) {
        self.ends.clear();
        self.values.clear();
    }

    pub fn row(&self, row: usize) -> &[T] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        &self.values[start..self.ends[row] as usize]
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether ends ascend and reach just to the last value.
    pub fn is_whole(&self) -> bool {
        self.ends.is_sorted() && self.ends.last().map_or(0, |end| *end) == self.values.len() as u64
    }
}
