//! Distances between vectors, of one query to many rows.
//!
//! Sums run in 64 lanes and are folded at the end, in an order that is the same at every level;
//! levels differ only by whether a product is rounded before it is added.

use super::{Elements, Error, Metric, Rows, widen};
use crate::simd::level::{Kernel, LANES, Level, multiply_add};

/// A number of a row, as a float.
pub(crate) trait Element: Copy {
    fn value(self) -> f32;
}

impl Element for f32 {
    #[inline(always)]
    fn value(self) -> f32 {
        self
    }
}

/// The bits of a half float.
impl Element for u16 {
    #[inline(always)]
    fn value(self) -> f32 {
        widen(self)
    }
}

impl Element for i8 {
    #[inline(always)]
    fn value(self) -> f32 {
        f32::from(self)
    }
}

/// What two elements add to a sum.
pub(crate) trait Term {
    fn add<const FMA: bool>(sum: f32, a: f32, b: f32) -> f32;
}

pub(crate) struct Product;
struct Square;
struct Absolute;

impl Term for Product {
    #[inline(always)]
    fn add<const FMA: bool>(sum: f32, a: f32, b: f32) -> f32 {
        multiply_add::<FMA>(a, b, sum)
    }
}

impl Term for Square {
    #[inline(always)]
    fn add<const FMA: bool>(sum: f32, a: f32, b: f32) -> f32 {
        multiply_add::<FMA>(a - b, a - b, sum)
    }
}

impl Term for Absolute {
    #[inline(always)]
    fn add<const FMA: bool>(sum: f32, a: f32, b: f32) -> f32 {
        sum + (a - b).abs()
    }
}

/// The sum of terms over two vectors; the shorter length counts.
#[inline(always)]
pub(crate) fn sum<const FMA: bool, T: Term, E: Element>(query: &[f32], row: &[E]) -> f32 {
    const WIDE: usize = 4 * LANES;
    let mut sums = [[0.0f32; LANES]; 4];
    let (queries, query_rest) = query.as_chunks::<WIDE>();
    let (rows, row_rest) = row.as_chunks::<WIDE>();
    for (query, row) in queries.iter().zip(rows) {
        for (part, sums) in sums.iter_mut().enumerate() {
            for (lane, sum) in sums.iter_mut().enumerate() {
                let i = part * LANES + lane;
                *sum = T::add::<FMA>(*sum, query[i], row[i].value());
            }
        }
    }
    let (queries, query_rest) = query_rest.as_chunks::<LANES>();
    let (rows, row_rest) = row_rest.as_chunks::<LANES>();
    for (query, row) in queries.iter().zip(rows) {
        for (lane, sum) in sums[0].iter_mut().enumerate() {
            *sum = T::add::<FMA>(*sum, query[lane], row[lane].value());
        }
    }
    for (sum, (query, row)) in sums[0].iter_mut().zip(query_rest.iter().zip(row_rest)) {
        *sum = T::add::<FMA>(*sum, *query, row.value());
    }
    fold(&sums)
}

#[inline(always)]
fn fold(sums: &[[f32; LANES]; 4]) -> f32 {
    let mut lanes = [0.0; LANES];
    for (lane, total) in lanes.iter_mut().enumerate() {
        *total = (sums[0][lane] + sums[1][lane]) + (sums[2][lane] + sums[3][lane]);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// A metric as a type; `norm` is the query's squared length and only asked for by cosine.
trait Distance {
    fn between<const FMA: bool, E: Element>(query: &[f32], norm: f32, row: &[E]) -> f32;
}

struct L2;
struct InnerProduct;
struct Cosine;
struct L1;

impl Distance for L2 {
    #[inline(always)]
    fn between<const FMA: bool, E: Element>(query: &[f32], _: f32, row: &[E]) -> f32 {
        sum::<FMA, Square, E>(query, row).sqrt()
    }
}

impl Distance for InnerProduct {
    #[inline(always)]
    fn between<const FMA: bool, E: Element>(query: &[f32], _: f32, row: &[E]) -> f32 {
        -sum::<FMA, Product, E>(query, row)
    }
}

impl Distance for Cosine {
    #[inline(always)]
    fn between<const FMA: bool, E: Element>(query: &[f32], norm: f32, row: &[E]) -> f32 {
        let product = sum::<FMA, Product, E>(query, row);
        cosine_distance(product, norm, squared::<FMA, E>(row))
    }
}

impl Distance for L1 {
    #[inline(always)]
    fn between<const FMA: bool, E: Element>(query: &[f32], _: f32, row: &[E]) -> f32 {
        sum::<FMA, Absolute, E>(query, row)
    }
}

#[inline(always)]
fn squared<const FMA: bool, E: Element>(row: &[E]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (rows, rest) = row.as_chunks::<LANES>();
    for row in rows {
        for (sum, x) in sums.iter_mut().zip(row) {
            *sum = multiply_add::<FMA>(x.value(), x.value(), *sum);
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum = multiply_add::<FMA>(x.value(), x.value(), *sum);
    }
    fold(&[sums, [0.0; LANES], [0.0; LANES], [0.0; LANES]])
}

/// From a dot product and two squared lengths; NaN when one of them is zero.
#[inline(always)]
pub(crate) fn cosine_distance(product: f32, a: f32, b: f32) -> f32 {
    let similarity = f64::from(product) / (f64::from(a) * f64::from(b)).sqrt();
    (1.0 - similarity.clamp(-1.0, 1.0)) as f32
}

struct OneToMany<'a, E> {
    metric: Metric,
    query: &'a [f32],
    rows: &'a [E],
    out: &'a mut [f32],
}

impl<E: Element> Kernel for OneToMany<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        // A loop for each metric, so that none asks inside.
        match self.metric {
            Metric::L2 => self.each::<FMA, L2>(),
            Metric::InnerProduct => self.each::<FMA, InnerProduct>(),
            Metric::Cosine => self.each::<FMA, Cosine>(),
            Metric::L1 => self.each::<FMA, L1>(),
        }
    }
}

impl<E: Element> OneToMany<'_, E> {
    #[inline(always)]
    fn each<const FMA: bool, D: Distance>(self) {
        let norm = squared::<FMA, f32>(self.query);
        for (out, row) in self.out.iter_mut().zip(self.rows.chunks_exact(self.query.len())) {
            *out = D::between::<FMA, E>(self.query, norm, row);
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
    fn run<const FMA: bool>(self) -> f32 {
        sum::<FMA, Product, E>(self.a, self.b)
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
