//! Implicit matrix factorisation by alternating least squares: a vector for each user and item
//! whose product is near 1 where the user took the item and near 0 elsewhere.
//!
//! With S what was taken, c its weights, α the weight of what was not, over users u and items i:
//!
//! ```text
//!   Σ over S of c (1 - wᵤ·hᵢ)²  +  α Σ over all (wᵤ·hᵢ)²
//!     +  λ Σᵤ (nᵤ + α|I|) |wᵤ|²  +  λ Σᵢ (nᵢ + α|U|) |hᵢ|²
//! ```
//!
//! where n sums the weights of a row: regularisation grows with what is known (Rendle et al.,
//! "iALS++" and "Revisiting the performance of iALS", RecSys 2022, arXiv 2110.14037 and
//! 2110.14044). With one side fixed, each row of the other is the solution of (Σ c h hᵀ + α HᵀH +
//! λ(…) I) w = Σ c h, found by Cholesky in double precision. The Gramian HᵀH is summed over fixed
//! blocks of rows, so that one input and seed give the same bits on any number of threads.

mod bytes;
mod solve;

#[cfg(test)]
mod tests;

use super::parallel::{cut, each, with_threads};
use super::ragged::Ragged;
use crate::ann::Random;
use solve::{Fixed, Solver};

pub use super::retrieval::{Error, Progress, Work};

/// Options of a training, with the defaults of `CREATE MODEL`.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Length of the vectors.
    pub dim: usize,
    /// λ.
    pub regularisation: f64,
    /// α.
    pub unobserved_weight: f64,
    /// How often both sides are solved.
    pub sweeps: usize,
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { dim: 64, regularisation: 0.007, unobserved_weight: 0.2, sweeps: 16, seed: 42 }
    }
}

impl Options {
    /// # Errors
    /// `Option`, naming the first that is out of its range.
    pub fn check(&self) -> Result<(), Error> {
        let positive = |x: f64| x > 0.0 && x <= 1e6;
        let rules = [
            ((1..=1024).contains(&self.dim), "dim", "from 1 to 1024"),
            (positive(self.regularisation), "regularisation", "over 0, at most 1e6"),
            (positive(self.unobserved_weight), "unobserved_weight", "over 0, at most 1e6"),
            ((1..=1000).contains(&self.sweeps), "sweeps", "from 1 to 1000"),
        ];
        match rules.into_iter().find(|(kept, _, _)| !kept) {
            Some((_, name, allowed)) => Err(Error::Option { name, allowed }),
            None => Ok(()),
        }
    }
}

/// Who took what. Keys are numbers, or hashes of text; a pair that comes twice counts the sum of
/// its weights, and one of weight zero not at all.
#[derive(Debug, Clone, Copy)]
pub struct Interactions<'a> {
    pub users: &'a [u64],
    pub items: &'a [u64],
    /// Without weights each row counts 1.
    pub weights: Option<&'a [f32]>,
}

/// Vectors of users and items.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    dim: usize,
    regularisation: f64,
    unobserved_weight: f64,
    /// Keys, ascending, and row-major vectors.
    users: Side,
    items: Side,
    /// α HᵀH of the items, which folding in a user asks for.
    gramian: Vec<f64>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Side {
    keys: Vec<u64>,
    vectors: Vec<f32>,
}

impl Side {
    fn row(&self, key: u64, dim: usize) -> Option<&[f32]> {
        let place = self.keys.binary_search(&key).ok()?;
        self.vectors.get(place * dim..(place + 1) * dim)
    }
}

/// Reach of the first vectors, over √dim.
const REACH: f32 = 0.1;
/// Additions between two looks at whether to go on: far less than a tenth of a second.
const PATIENCE: usize = 1 << 28;

/// Bytes that a training needs at most at once: an upper bound from the number of rows.
pub fn memory_bytes(interactions: &Interactions<'_>, options: &Options, threads: usize) -> usize {
    let rows = interactions.users.len();
    let vectors = rows.saturating_mul(2 * options.dim * 4);
    let solvers = (threads + 1) * options.dim * options.dim * 16;
    vectors.saturating_add(rows * 64).saturating_add(solvers)
}

/// Trains on the interactions.
///
/// # Errors
/// `Option`, `Length`, `NotFinite` for a weight, `NoExamples`, `TooMany`, `Cancelled`.
pub fn train(
    interactions: &Interactions<'_>,
    options: &Options,
    work: &Work<'_>,
) -> Result<Model, Error> {
    options.check()?;
    with_threads(work.threads, || train_all(interactions, options, work))
}

fn train_all(
    interactions: &Interactions<'_>,
    options: &Options,
    work: &Work<'_>,
) -> Result<Model, Error> {
    let (mut users, mut items, by_user, by_item) = sides(interactions)?;
    let mut random = Random::new(options.seed);
    let reach = REACH / (options.dim as f32).sqrt();
    for side in [&mut users, &mut items] {
        side.vectors = vec![0.0; side.keys.len() * options.dim];
        let even = || ((random.number() >> 40) as f32 / 8_388_608.0 - 1.0) * reach;
        side.vectors.fill_with(even);
    }
    let total = by_user.values.len();
    let mut loss = None;
    for sweep in 1..=options.sweeps {
        let tell = |done: usize| {
            let (epoch, epochs, of) = (sweep, options.sweeps, 2 * total);
            let progress = Progress { held_out: false, epoch, epochs, examples: done, of, loss };
            (work.watch)(progress).is_break()
        };
        side(options, work, (&by_user, &items.vectors, &mut users.vectors), tell)?;
        side(options, work, (&by_item, &users.vectors, &mut items.vectors), |done| {
            tell(total + done)
        })?;
        loss = Some(objective(options, &by_user, &users.vectors, &items.vectors));
    }
    let gramian = Fixed::new(options, work, &items.vectors).gramian;
    let Options { dim, regularisation, unobserved_weight, .. } = *options;
    Ok(Model { dim, regularisation, unobserved_weight, users, items, gramian })
}

/// Solves all rows of one side against the vectors of the other.
fn side(
    options: &Options,
    work: &Work<'_>,
    (taken, fixed, vectors): (&Ragged<(u32, f32)>, &[f32], &mut [f32]),
    tell: impl Fn(usize) -> bool,
) -> Result<(), Error> {
    let fixed = Fixed::new(options, work, fixed);
    let (level, rows): (_, Vec<usize>) = (work.level, (0..taken.len()).collect());
    // A factorisation is dim³ / 6 products and sums; rows of usual length cost as much again.
    let chunk = (PATIENCE / options.dim.pow(3)).clamp(1, 8192);
    for (rows, vectors) in rows.chunks(chunk).zip(vectors.chunks_mut(chunk * options.dim)) {
        let ranges = balanced(taken, rows[0], rows.len(), work.threads);
        let parts = cut(vectors, options.dim, &ranges).into_iter().zip(ranges.iter().cloned());
        each(parts.collect(), |_, (vectors, range)| {
            let mut solver = Solver::new(options.dim);
            let vectors = vectors.chunks_exact_mut(options.dim);
            for (row, vector) in range.zip(vectors) {
                solver.solve(level, &fixed, taken.row(rows[0] + row), vector);
            }
        });
        let done = taken.ends[rows[0] + rows.len() - 1] as usize;
        if tell(done) {
            return Err(Error::Cancelled);
        }
    }
    Ok(())
}

/// `0..count` cut into ranges with about equally much to do in rows `first..first + count`.
fn balanced(
    taken: &Ragged<(u32, f32)>,
    first: usize,
    count: usize,
    parts: usize,
) -> Vec<std::ops::Range<usize>> {
    let before = first.checked_sub(1).map_or(0, |row| taken.ends[row]);
    // A row costs its entries, and about as much as 32 of them for the factorisation.
    let cost = |row: usize| taken.ends[first + row] - before + 32 * (row as u64 + 1);
    let all = cost(count - 1);
    let mut start = 0;
    let parts = parts.clamp(1, count);
    let ranges = (1..=parts).map(|part| {
        let limit = all * part as u64 / parts as u64;
        let end = (start..count).find(|row| cost(*row) > limit).unwrap_or(count);
        let range = start..if part == parts { count } else { end };
        start = range.end;
        range
    });
    ranges.collect()
}

/// The mean over the pairs taken of all that training makes small but the regularisation.
fn objective(options: &Options, taken: &Ragged<(u32, f32)>, users: &[f32], items: &[f32]) -> f32 {
    let dim = options.dim;
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let (mut observed, mut lengths) = (0.0, 0.0);
    for user in 0..taken.len() {
        let vector = &users[user * dim..(user + 1) * dim];
        for (item, weight) in taken.row(user) {
            let item = *item as usize;
            let product = dot(vector, &items[item * dim..(item + 1) * dim]);
            observed += f64::from(*weight) * (1.0 - product) * (1.0 - product);
            lengths += product * product;
        }
    }
    ((observed + options.unobserved_weight * lengths) / taken.values.len() as f64) as f32
}

type Sides = (Side, Side, Ragged<(u32, f32)>, Ragged<(u32, f32)>);

/// Keys of both sides, and what each of a side took of the other.
fn sides(interactions: &Interactions<'_>) -> Result<Sides, Error> {
    let expected = interactions.users.len();
    let weights = interactions.weights.map(|weights| ("weight", weights.len()));
    let columns = [("item", interactions.items.len())].into_iter().chain(weights);
    if let Some((column, found)) = columns.into_iter().find(|(_, found)| *found != expected) {
        return Err(Error::Length { column: column.to_string(), expected, found });
    }
    u32::try_from(expected).map_err(|_| Error::TooMany { what: "rows" })?;
    let weight = |row: usize| interactions.weights.map_or(1.0, |weights| weights[row]);
    let wrong = |row: &usize| !(weight(*row).is_finite() && weight(*row) >= 0.0);
    if let Some(row) = (0..expected).find(wrong) {
        return Err(Error::NotFinite { column: "weight".to_string(), row });
    }
    let kept: Vec<usize> = (0..expected).filter(|row| weight(*row) > 0.0).collect();
    if kept.is_empty() {
        return Err(Error::NoExamples);
    }
    let side = |keys: &[u64]| {
        let mut keys: Vec<u64> = kept.iter().map(|row| keys[*row]).collect();
        keys.sort_unstable();
        keys.dedup();
        Side { keys, vectors: Vec::new() }
    };
    let (users, items) = (side(interactions.users), side(interactions.items));
    let number = |side: &Side, key: u64| side.keys.partition_point(|other| *other < key) as u32;
    let pairs = kept.iter().map(|row| {
        let user = number(&users, interactions.users[*row]);
        (user, number(&items, interactions.items[*row]), weight(*row))
    });
    let pairs: Vec<(u32, u32, f32)> = pairs.collect();
    let turned = pairs.iter().map(|(user, item, weight)| (*item, *user, *weight)).collect();
    let (by_user, by_item) = (grouped(pairs, users.keys.len()), grouped(turned, items.keys.len()));
    Ok((users, items, by_user, by_item))
}

/// Pairs by their first number, each once with the sum of its weights.
fn grouped(mut pairs: Vec<(u32, u32, f32)>, count: usize) -> Ragged<(u32, f32)> {
    // Stable, so that weights are summed in the order of the rows.
    pairs.sort_by_key(|(row, other, _)| (*row, *other));
    pairs.dedup_by(|next, kept| {
        let same = (next.0, next.1) == (kept.0, kept.1);
        kept.2 += if same { next.2 } else { 0.0 };
        same
    });
    let (mut all, mut rest) = (Ragged::default(), &pairs[..]);
    for row in 0..count as u32 {
        let (own, after) = rest.split_at(rest.partition_point(|pair| pair.0 == row));
        all.push(own.iter().map(|(_, other, weight)| (*other, *weight)));
        rest = after;
    }
    all
}

impl Model {
    /// Length of the vectors.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Keys of the items, ascending: rows of `item_vectors`.
    pub fn items(&self) -> &[u64] {
        &self.items.keys
    }

    /// Keys of the users, ascending: rows of `user_vectors`.
    pub fn users(&self) -> &[u64] {
        &self.users.keys
    }

    /// Row-major vectors of all items: what an index is built of, by inner product.
    pub fn item_vectors(&self) -> &[f32] {
        &self.items.vectors
    }

    /// Row-major vectors of all users.
    pub fn user_vectors(&self) -> &[f32] {
        &self.users.vectors
    }

    /// # Errors
    /// `Unknown` for a user that training did not know: `fold_in` makes one of a history.
    pub fn embed_user(&self, key: u64) -> Result<&[f32], Error> {
        self.users.row(key, self.dim).ok_or(Error::Unknown { key })
    }

    /// # Errors
    /// `Unknown` for an item that training did not know.
    pub fn embed_item(&self, key: u64) -> Result<&[f32], Error> {
        self.items.row(key, self.dim).ok_or(Error::Unknown { key })
    }

    /// The vector that training would have given a user with this history beside the items as they
    /// are; items that it did not know do not count, and nothing known is a vector of zeros.
    pub fn fold_in(&self, level: crate::simd::level::Level, history: &[u64]) -> Vec<f32> {
        let known = |key: &u64| Some(self.items.keys.binary_search(key).ok()? as u32);
        let mut taken: Vec<(u32, f32)> =
            history.iter().filter_map(known).map(|item| (item, 1.0)).collect();
        taken.sort_unstable_by_key(|(item, _)| *item);
        taken.dedup_by_key(|(item, _)| *item);
        let fixed = Fixed {
            dim: self.dim,
            regularisation: self.regularisation,
            unobserved_weight: self.unobserved_weight,
            vectors: &self.items.vectors,
            gramian: self.gramian.clone(),
        };
        let mut vector = vec![0.0; self.dim];
        Solver::new(self.dim).solve(level, &fixed, &taken, &mut vector);
        vector
    }
}
