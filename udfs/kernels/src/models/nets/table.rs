//! Sums of table rows for inputs, and back: gradients of rows from those of the sums.
//!
//! Each thread owns a range of rows. It sorts the inputs' tokens by row and sums a row's gradient
//! in the order of the inputs, so that the bits do not depend on how rows are shared out.

use super::Token;
use super::rows::{Adam, Parameters, combine};
use crate::models::parallel::{cut, each};
use crate::models::ragged::Ragged;
use crate::simd::lanes::Lanes;
use crate::simd::level::{Kernel, Level};

/// A range of rows of the table, and memory to sort tokens in.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    first: u32,
    /// For each row of the range how many tokens, then where its tokens end; zeros between steps.
    counts: Vec<u32>,
    touched: Vec<u32>,
    sorted: Vec<Token>,
    gradient: Vec<f32>,
}

/// Ranges of the table's rows with about equally many of the tokens of `inputs`.
pub(crate) fn shards(inputs: &[&Ragged<Token>], rows: usize, count: usize) -> Vec<Shard> {
    let mut tokens: Vec<u32> =
        inputs.iter().flat_map(|part| part.values.iter().map(|token| token.0)).collect();
    tokens.sort_unstable();
    let mut first = 0;
    let shards = (1..=count).map(|number| {
        let place = tokens.len() * number / count;
        let end =
            if number == count { rows } else { tokens.get(place).map_or(rows, |x| *x as usize) };
        let end = end.max(first);
        let shard = Shard { first: first as u32, counts: vec![0; end - first], ..Shard::default() };
        first = end;
        shard
    });
    shards.collect()
}

/// Moves all rows that `inputs` touch against their gradients: `gradients` are those of the sums,
/// in the order of the inputs.
pub(crate) fn update(
    level: Level,
    adam: Adam,
    (inputs, gradients): (&[&Ragged<Token>], &[f32]),
    width: usize,
    (shards, table): (&mut [Shard], &mut Parameters),
) {
    let mut first = 0;
    let ranges: Vec<_> = shards
        .iter()
        .map(|shard| {
            let start = first;
            first += shard.counts.len();
            start..first
        })
        .collect();
    let values = cut(&mut table.values, width, &ranges).into_iter();
    let moments = cut(&mut table.means, width, &ranges).into_iter().zip(cut(
        &mut table.squares,
        width,
        &ranges,
    ));
    let parts = shards.iter_mut().zip(values.zip(moments)).collect();
    each(parts, |_, (shard, (values, (means, squares)))| {
        shard.sort(inputs);
        level.run(Update { adam, gradients, width, shard, values, means, squares });
    });
}

impl Shard {
    /// Sorts the tokens of own rows by row, each with the number of its input in place of the row.
    fn sort(&mut self, inputs: &[&Ragged<Token>]) {
        let range = self.counts.len() as u32;
        self.touched.clear();
        for (row, _) in inputs.iter().flat_map(|part| &part.values) {
            let place = row.wrapping_sub(self.first);
            if place < range {
                let count = &mut self.counts[place as usize];
                if *count == 0 {
                    self.touched.push(place);
                }
                *count += 1;
            }
        }
        let mut start = 0;
        for place in &self.touched {
            let count = &mut self.counts[*place as usize];
            (*count, start) = (start, start + *count);
        }
        self.sorted.clear();
        self.sorted.resize(start as usize, (0, 0.0));
        let mut input = 0;
        for part in inputs {
            let mut begin = 0;
            for end in &part.ends {
                for (row, share) in &part.values[begin..*end as usize] {
                    let place = row.wrapping_sub(self.first);
                    if place < range {
                        let end = &mut self.counts[place as usize];
                        self.sorted[*end as usize] = (input, *share);
                        *end += 1;
                    }
                }
                begin = *end as usize;
                input += 1;
            }
        }
    }
}

struct Update<'a> {
    adam: Adam,
    gradients: &'a [f32],
    width: usize,
    shard: &'a mut Shard,
    values: &'a mut [f32],
    means: &'a mut [f32],
    squares: &'a mut [f32],
}

impl Kernel for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Shard { counts, touched, sorted, gradient, .. } = self.shard;
        gradient.resize(self.width, 0.0);
        let mut start = 0;
        for place in touched {
            let place = *place as usize;
            let end = std::mem::take(&mut counts[place]) as usize;
            combine::<L>(&sorted[start..end], self.gradients, gradient);
            let range = place * self.width..(place + 1) * self.width;
            let values = &mut self.values[range.clone()];
            let (means, squares) = (&mut self.means[range.clone()], &mut self.squares[range]);
            self.adam.step(gradient, values, means, squares);
            start = end;
        }
    }
}
