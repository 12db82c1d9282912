//! Distances between vectors, of one query to many rows.
//!
//! Sums run in 64 lanes and are folded at the end, in an order that is the same at every level;
//! levels differ only by whether a product is rounded before it is added.

use super::{Elements, Error, Metric, Rows, widen};
use crate::simd::lanes::Lanes;
use crate::simd::level::{Kernel, LANES, Level};

/// A number of a row, as a float.
pub(crate) trait Element: Copy + Default {
    fn value(self) -> f32;
    fn lanes<L: Lanes>(from: &[Self; LANES]) -> L;
}

impl Element for f32 {
    #[inline(always)]
    fn value(self) -> f32 {
        self
    }

    #[inline(always)]
    fn lanes<L: Lanes>(from: &[Self; LANES]) -> L {
        L::load(from)
    }
}

/// The bits of a half float.
impl Element for u16 {
    #[inline(always)]
    fn value(self) -> f32 {
        widen(self)
    }

    #[inline(always)]
    fn lanes<L: Lanes>(from: &[Self; LANES]) -> L {
        L::halves(from)
    }
}

/// What two elements add to a sum.
trait Term {
    fn add<L: Lanes>(sum: L, a: L, b: L) -> L;
}

struct Product;
struct Square;
struct Absolute;

impl Term for Product {
    #[inline(always)]
    fn add<L: Lanes>(sum: L, a: L, b: L) -> L {
        a.multiply_add(b, sum)
    }
}

impl Term for Square {
    #[inline(always)]
    fn add<L: Lanes>(sum: L, a: L, b: L) -> L {
        let difference = a.subtract(b);
        difference.multiply_add(difference, sum)
    }
}

impl Term for Absolute {
    #[inline(always)]
    fn add<L: Lanes>(sum: L, a: L, b: L) -> L {
        sum.add(a.subtract(b).absolute())
    }
}

/// The sum of terms over two vectors of one length; idle lanes of the last step are zeros.
#[inline(always)]
fn sum<L: Lanes, T: Term, E: Element>(query: &[f32], row: &[E]) -> f32 {
    let mut sums = [L::splat(0.0); 4];
    let (queries, query_rest) = query.as_chunks::<LANES>();
    let (rows, row_rest) = row.as_chunks::<LANES>();
    let (fours, queries) = queries.as_chunks::<4>();
    let (row_fours, rows) = rows.as_chunks::<4>();
    for (a, b) in fours.iter().zip(row_fours) {
        sums[0] = T::add(sums[0], L::load(&a[0]), E::lanes(&b[0]));
        sums[1] = T::add(sums[1], L::load(&a[1]), E::lanes(&b[1]));
        sums[2] = T::add(sums[2], L::load(&a[2]), E::lanes(&b[2]));
        sums[3] = T::add(sums[3], L::load(&a[3]), E::lanes(&b[3]));
    }
    for (a, b) in queries.iter().zip(rows) {
        sums[0] = T::add(sums[0], L::load(a), E::lanes(b));
    }
    if !query_rest.is_empty() {
        sums[0] = T::add(sums[0], L::load(&padded(query_rest)), E::lanes(&padded(row_rest)));
    }
    sums[0].add(sums[1]).add(sums[2].add(sums[3])).total()
}

#[inline(always)]
fn padded<E: Element>(rest: &[E]) -> [E; LANES] {
    let mut all = [E::default(); LANES];
    all.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    all
}

/// A metric as a type; `norm` is the query's squared length and only asked for by cosine.
trait Distance {
    fn between<L: Lanes, E: Element>(query: &[f32], norm: f32, row: &[E]) -> f32;

    /// From the same sums, with the last step in double precision as pgvector does it.
    fn double<L: Lanes, E: Element>(query: &[f32], norm: f32, row: &[E]) -> f64 {
        f64::from(Self::between::<L, E>(query, norm, row))
    }
}

struct L2;
struct InnerProduct;
struct Cosine;
struct L1;

impl Distance for L2 {
    #[inline(always)]
    fn between<L: Lanes, E: Element>(query: &[f32], _: f32, row: &[E]) -> f32 {
        sum::<L, Square, E>(query, row).sqrt()
    }

    #[inline(always)]
    fn double<L: Lanes, E: Element>(query: &[f32], _: f32, row: &[E]) -> f64 {
        f64::from(sum::<L, Square, E>(query, row)).sqrt()
    }
}

impl Distance for InnerProduct {
    #[inline(always)]
    fn between<L: Lanes, E: Element>(query: &[f32], _: f32, row: &[E]) -> f32 {
        -sum::<L, Product, E>(query, row)
    }
}

impl Distance for Cosine {
    #[inline(always)]
    fn between<L: Lanes, E: Element>(query: &[f32], norm: f32, row: &[E]) -> f32 {
        let product = sum::<L, Product, E>(query, row);
        cosine_distance(product, norm, squared::<L, E>(row))
    }

    #[inline(always)]
    fn double<L: Lanes, E: Element>(query: &[f32], norm: f32, row: &[E]) -> f64 {
        cosine_double(sum::<L, Product, E>(query, row), norm, squared::<L, E>(row))
    }
}

impl Distance for L1 {
    #[inline(always)]
    fn between<L: Lanes, E: Element>(query: &[f32], _: f32, row: &[E]) -> f32 {
        sum::<L, Absolute, E>(query, row)
    }
}

#[inline(always)]
fn squared<L: Lanes, E: Element>(row: &[E]) -> f32 {
    let mut sum = L::splat(0.0);
    let (rows, rest) = row.as_chunks::<LANES>();
    for row in rows {
        sum = Product::add(sum, E::lanes::<L>(row), E::lanes::<L>(row));
    }
    let rest = E::lanes::<L>(&padded(rest));
    Product::add(sum, rest, rest).total()
}

/// From a dot product and two squared lengths; NaN when one of them is zero.
#[inline(always)]
pub(crate) fn cosine_distance(product: f32, a: f32, b: f32) -> f32 {
    cosine_double(product, a, b) as f32
}

#[inline(always)]
fn cosine_double(product: f32, a: f32, b: f32) -> f64 {
    let similarity = f64::from(product) / (f64::from(a) * f64::from(b)).sqrt();
    // Processors give 0 / 0 a sign, by which it would be sorted before all numbers.
    if similarity.is_nan() { f64::NAN } else { 1.0 - similarity.clamp(-1.0, 1.0) }
}

/// A distance as it is written.
trait Written: Copy {
    fn of<D: Distance, L: Lanes, E: Element>(query: &[f32], norm: f32, row: &[E]) -> Self;
}

impl Written for f32 {
    #[inline(always)]
    fn of<D: Distance, L: Lanes, E: Element>(query: &[f32], norm: f32, row: &[E]) -> Self {
        D::between::<L, E>(query, norm, row)
    }
}

impl Written for f64 {
    #[inline(always)]
    fn of<D: Distance, L: Lanes, E: Element>(query: &[f32], norm: f32, row: &[E]) -> Self {
        D::double::<L, E>(query, norm, row)
    }
}

struct OneToMany<'a, E, O> {
    metric: Metric,
    query: &'a [f32],
    rows: &'a [E],
    out: &'a mut [O],
}

impl<E: Element, O: Written> Kernel for OneToMany<'_, E, O> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        // A loop for each metric, so that none asks inside.
        match self.metric {
            Metric::L2 => self.each::<L, L2>(),
            Metric::InnerProduct => self.each::<L, InnerProduct>(),
            Metric::Cosine => self.each::<L, Cosine>(),
            Metric::L1 => self.each::<L, L1>(),
        }
    }
}

impl<E: Element, O: Written> OneToMany<'_, E, O> {
    #[inline(always)]
    fn each<L: Lanes, D: Distance>(self) {
        let norm = squared::<L, f32>(self.query);
        for (out, row) in self.out.iter_mut().zip(self.rows.chunks_exact(self.query.len())) {
            *out = O::of::<D, L, E>(self.query, norm, row);
        }
    }
}

/// The distances from `query` to each row, as many as `out` has room for.
///
/// # Errors
/// `Dimension` when the query has another one.
pub fn distances(
    level: Level,
    metric: Metric,
    query: &[f32],
    rows: Rows<'_>,
    out: &mut [f32],
) -> Result<(), Error> {
    written(level, metric, query, rows, out)
}

/// The same in double precision from the sums on, as pgvector's functions answer.
///
/// # Errors
/// As `distances`.
pub fn double_distances(
    level: Level,
    metric: Metric,
    query: &[f32],
    rows: Rows<'_>,
    out: &mut [f64],
) -> Result<(), Error> {
    written(level, metric, query, rows, out)
}

fn written<O: Written>(
    level: Level,
    metric: Metric,
    query: &[f32],
    rows: Rows<'_>,
    out: &mut [O],
) -> Result<(), Error> {
    rows.same_dimension(query.len())?;
    match rows.elements() {
        Elements::Single(rows) => level.run(OneToMany { metric, query, rows, out }),
        Elements::Half(rows) => level.run(OneToMany { metric, query, rows, out }),
    }
    Ok(())
}

/// The distance between two vectors.
///
/// # Errors
/// `Dimension` when their lengths differ, `Empty` when both are zero.
pub fn distance(level: Level, metric: Metric, a: &[f32], b: &[f32]) -> Result<f32, Error> {
    let mut out = [0.0];
    distances(level, metric, a, Rows::single(b, b.len())?, &mut out)?;
    Ok(out[0])
}

struct Dot<'a, E> {
    a: &'a [f32],
    b: &'a [E],
}

impl<E: Element> Kernel for Dot<'_, E> {
    type Output = f32;

    #[inline(always)]
    fn run<L: Lanes>(self) -> f32 {
        sum::<L, Product, E>(self.a, self.b)
    }
}

/// The dot product; the shorter length counts.
pub fn dot(level: Level, a: &[f32], b: &[f32]) -> f32 {
    level.run(Dot { a, b })
}

/// The inner product of two vectors; errors as `distance`.
pub fn inner_product(level: Level, a: &[f32], b: &[f32]) -> Result<f32, Error> {
    distance(level, Metric::InnerProduct, a, b).map(|negative| -negative)
}

/// The Euclidean length, summed in double precision as pgvector does.
pub fn norm(a: &[f32]) -> f64 {
    a.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt()
}
