//! What the distances over bins share: how values become counts, and the answer's fields.
//!
//! Numbers: bins between edges, [a, b), open at both ends; the edges are given, or the reference's
//! quantiles, or equal widths over its range. Categories: a bin each. NULL and NaN have bins of
//! their own; `nulls => 'drop'` leaves NULL out. Counts instead of values are added up, bin by bin.
//! `is_current` false is the reference, true the current data.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::marker::PhantomData;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::error::Result as EngineResult;
use kernels::statistics::divergence::{empty_bins, psi_critical, total};
use kernels::statistics::histogram::{
    bin_of, counts_of, edges_rise, evidently_edges, nannyml_edges, quantile_edges, uniform_edges_of,
};

use super::fill::{Compat, compat, compat_argument};
use crate::Error;
use crate::arguments::{Argument, Call, Doc, Given, Kind, option, required};
use crate::bytes::{put_slice, take_numbers, take_slice, take_u64};
use crate::output::{Output, Shape, Type};
use crate::two_sample::{Pair, Side, TwoSample, Values};

/// What a distance adds to the bins.
pub trait Distance: Debug + Default + Clone + Send + Sync + 'static {
    /// Its own options, understood.
    type Options: Debug + Send + Sync + 'static;
    /// Its SQL name.
    const NAME: &'static str;
    /// Above this it counts as drift, unless the call says otherwise.
    const THRESHOLD: f64;

    /// Its reference entry.
    fn doc() -> Doc;
    /// Arguments beside those of the bins.
    fn arguments() -> Vec<Argument> {
        Vec::new()
    }
    /// Reads them.
    fn options(given: &Given) -> EngineResult<Self::Options>;
    /// The value and its own verdict, if not by threshold; None if it cannot be computed.
    fn value(options: &Self::Options, reference: &[u64], current: &[u64]) -> Option<f64>;
    /// Whether a value is drift.
    fn drifted(value: f64, threshold: f64, binned: &Binned, options: &Self::Options) -> bool;
    /// Fields beside the common ones.
    fn shape() -> Shape {
        Vec::new()
    }
    /// Writes its own fields.
    fn finish(_: &Self::Options, _: &Binned, _: &mut Output) {}
}

/// Counts of both sides over the same bins.
#[derive(Debug, Default)]
pub struct Binned {
    /// Edges of number bins.
    pub edges: Option<Vec<f64>>,
    /// Names of category bins.
    pub categories: Option<Vec<String>>,
    /// Bins of values only, reference and current.
    pub counts: [Vec<u64>; 2],
    /// NULLs.
    pub nulls: [u64; 2],
    /// NaNs.
    pub nans: [u64; 2],
    /// Every bin that counts, those of NULL and NaN included.
    pub all: [Vec<u64>; 2],
}

/// Where numbers are cut, unless edges are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// At quantiles of the reference.
    Quantiles,
    /// In equal widths over the reference.
    Uniform,
    /// As Evidently does.
    Evidently,
    /// As NannyML does.
    Nannyml,
}

/// How values are binned.
#[derive(Debug)]
pub struct Rule<O> {
    bins: usize,
    cut: Cut,
    edges: Option<Vec<f64>>,
    drop_nulls: bool,
    drop_nans: bool,
    /// Above this it counts as drift.
    pub threshold: f64,
    own: O,
}

/// The aggregate of a distance.
#[derive(Debug, Default, Clone)]
pub struct Bins<D>(PhantomData<D>);

/// One side: values to rank, counts of categories, or counts over given edges.
#[derive(Debug, Clone, Default)]
pub struct Sampled {
    /// Numbers, while their edges are not known.
    pub values: Values,
    categories: HashMap<Box<str>, u64>,
    names: usize,
    counts: Vec<u64>,
    text: bool,
    nulls: u64,
}

impl Sampled {
    /// Rows, NULLs and NaNs included.
    pub fn rows(&self) -> u64 {
        let counted = total(self.counts.iter().chain(self.categories.values()));
        let others = self.values.sample.count() + self.values.nans + self.nulls;
        counted.saturating_add(others)
    }

    /// NULLs.
    pub fn nulls(&self) -> u64 {
        self.nulls
    }

    /// Categories with their counts, in any order.
    pub fn categories(&self) -> impl Iterator<Item = (&str, u64)> {
        self.categories.iter().map(|(name, count)| (&**name, *count))
    }

    fn add(&mut self, category: &str, count: u64) {
        match self.categories.get_mut(category) {
            Some(total) => *total += count,
            None => {
                self.names += category.len();
                self.categories.insert(category.into(), count);
            }
        }
    }
}

impl Side for Sampled {
    fn merge(&mut self, other: Self) {
        self.values.merge(other.values);
        other.categories.iter().for_each(|(name, count)| self.add(name, *count));
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        let pairs = self.counts.iter_mut().zip(&other.counts);
        pairs.for_each(|(to, from)| *to = to.saturating_add(*from));
        self.text |= other.text;
        self.nulls += other.nulls;
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let mut values = Vec::new();
        self.values.encode(&mut values);
        bytes.extend(self.nulls.to_le_bytes());
        bytes.extend(u64::from(self.text).to_le_bytes());
        put_slice(bytes, &values);
        put_slice(bytes, &self.counts.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>());
        for (name, count) in &self.categories {
            put_slice(bytes, name.as_bytes());
            bytes.extend(count.to_le_bytes());
        }
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let nulls = take_u64(&mut bytes)?;
        let text = take_u64(&mut bytes)? == 1;
        let values = Values::decode(take_slice(&mut bytes)?)?;
        let counts = take_numbers(take_slice(&mut bytes)?)?.collect();
        let mut side = Self { values, counts, text, nulls, ..Self::default() };
        while !bytes.is_empty() {
            let name = std::str::from_utf8(take_slice(&mut bytes)?).ok()?;
            let count = take_u64(&mut bytes)?;
            side.add(name, count);
        }
        Some(side)
    }

    fn heap(&self) -> usize {
        let entry = size_of::<(Box<str>, u64)>() + 1;
        let categories = self.categories.capacity() * entry + self.names;
        self.values.heap() + categories + self.counts.capacity() * size_of::<u64>()
    }
}

/// A column of numbers, with given edges or without, or of categories.
pub enum Column<'a> {
    /// Numbers to rank.
    Numbers(&'a Float64Array),
    /// Numbers to count between edges.
    Binned(&'a Float64Array, Vec<f64>),
    /// Categories.
    Text(&'a StringArray),
}

impl<'a> Column<'a> {
    /// By the column's type.
    pub fn of(column: &'a ArrayRef, edges: Option<&Vec<f64>>) -> Self {
        match (column.data_type(), edges) {
            (DataType::Float64, None) => Self::Numbers(column.as_primitive::<Float64Type>()),
            (DataType::Float64, Some(edges)) => {
                Self::Binned(column.as_primitive::<Float64Type>(), edges.clone())
            }
            (_, _) => Self::Text(column.as_string::<i32>()),
        }
    }

    /// Takes rows.
    pub fn push(&self, side: &mut Sampled, rows: &[u32]) {
        let rows = rows.iter().map(|row| *row as usize);
        match self {
            Self::Numbers(column) => rows.for_each(|row| match column.is_null(row) {
                true => side.nulls += 1,
                false => side.values.push(column.value(row)),
            }),
            Self::Binned(column, edges) => {
                side.counts.resize(edges.len() + 1, 0);
                rows.for_each(|row| match (column.is_null(row), column.value(row)) {
                    (true, _) => side.nulls += 1,
                    (false, value) if value.is_nan() => side.values.nans += 1,
                    (false, value) => side.counts[bin_of(edges, value)] += 1,
                });
            }
            Self::Text(column) => {
                side.text = true;
                rows.for_each(|row| match column.is_null(row) {
                    true => side.nulls += 1,
                    false => side.add(column.value(row), 1),
                });
            }
        }
    }
}

impl Rule<()> {
    /// Quantile bins and a threshold, nothing else.
    pub fn quantiles(given: &Given) -> EngineResult<Self> {
        Ok(Self {
            bins: bins(given)?,
            cut: Cut::Quantiles,
            edges: None,
            drop_nulls: false,
            drop_nans: false,
            threshold: given.between("threshold", 0.0, f64::INFINITY, 0.25)?,
            own: (),
        })
    }
}

fn bins(given: &Given) -> EngineResult<usize> {
    let bins = given.whole("bins", 2, 10)?;
    if bins <= MOST_BINS {
        return Ok(bins as usize);
    }
    let allowed = format!("at most {MOST_BINS}");
    Err(Error::InvalidArgument { name: "bins", allowed, given: bins.to_string() }.into())
}

impl<O> Rule<O> {
    /// Counts of both sides over the same bins.
    pub fn bin(&self, sides: [&Sampled; 2]) -> Binned {
        let mut binned = Binned {
            nulls: sides.map(|side| side.nulls),
            nans: sides.map(|side| side.values.nans),
            ..Binned::default()
        };
        if sides.iter().any(|side| side.text) {
            let mut counts: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
            for (place, side) in sides.iter().enumerate() {
                for (name, count) in &side.categories {
                    counts.entry(name).or_default()[place] += count;
                }
            }
            binned.categories = Some(counts.keys().map(|name| (*name).into()).collect());
            binned.counts = [0, 1].map(|place| counts.values().map(|pair| pair[place]).collect());
        } else if self.edges.is_none() && sides.iter().any(|side| !side.counts.is_empty()) {
            let bins = sides.iter().map(|side| side.counts.len()).max().unwrap_or_default();
            binned.counts = sides.map(|side| {
                let mut counts = side.counts.clone();
                counts.resize(bins, 0);
                counts
            });
        } else if let Some(edges) = &self.edges {
            binned.counts = sides.map(|side| {
                let mut counts = side.counts.clone();
                counts.resize(edges.len() + 1, 0);
                counts
            });
            binned.edges = Some(edges.clone());
        } else {
            let [reference, current] = sides.map(|side| side.values.sample.ranked());
            let edges = match self.cut {
                Cut::Quantiles => quantile_edges(&reference, self.bins),
                Cut::Uniform => uniform_edges_of(&reference, self.bins),
                Cut::Evidently => evidently_edges(&reference, &current),
                Cut::Nannyml => nannyml_edges(&reference),
            };
            binned.counts = [&reference, &current].map(|side| counts_of(side, &edges));
            binned.edges = Some(edges);
        }
        binned.all = [0, 1].map(|place| {
            let nulls = if self.drop_nulls { 0 } else { binned.nulls[place] };
            let nans = if self.drop_nans { 0 } else { binned.nans[place] };
            let apart = [nulls, nans];
            binned.counts[place].iter().copied().chain(apart).collect()
        });
        binned
    }
}

impl<D: Distance> TwoSample for Bins<D> {
    type Side = Sampled;
    type Options = Rule<D::Options>;
    type Batch<'a> = Column<'a>;
    const ARM: usize = 1;

    fn fixed_arms() -> Option<[&'static str; 2]> {
        Some(["false", "true"])
    }

    fn call() -> Call {
        let mut arguments = vec![
            required("x", Kind::ValueOrCounts, "a number or a category; or the reference's counts"),
            required(
                "is_current",
                Kind::FlagOrCounts,
                "false: reference, true: current, NULL: neither; or the current counts",
            ),
            option("bins", Kind::Integer, "number of bins (default 10)"),
            option("method", Kind::Text, "'quantile' of the reference (default) or 'uniform'"),
            option("edges", Kind::Numbers, "edges instead, rising; no other rule then"),
            option("nulls", Kind::Text, "'bin' (default): NULL has its bin, or 'drop'"),
            option("threshold", Kind::Number, "drifted above this"),
            compat_argument(),
        ];
        arguments.extend(D::arguments());
        Call { name: D::NAME, arguments, doc: D::doc() }
    }

    fn shape() -> Shape {
        let mut shape = vec![
            ("value", Type::Number),
            ("n_reference", Type::Count),
            ("n_current", Type::Count),
            ("edges", Type::Numbers),
            ("categories", Type::Texts),
            ("counts_reference", Type::Counts),
            ("counts_current", Type::Counts),
            ("nulls_reference", Type::Count),
            ("nulls_current", Type::Count),
            ("nans_reference", Type::Count),
            ("nans_current", Type::Count),
            ("empty_bins", Type::Count),
            ("threshold", Type::Number),
            ("drifted", Type::Flag),
        ];
        shape.extend(D::shape());
        shape.push(("status", Type::Text));
        shape
    }

    fn options(given: &Given) -> EngineResult<Self::Options> {
        let edges = given.numbers("edges")?;
        if let Some(edges) = &edges
            && (edges.is_empty() || !edges_rise(edges))
        {
            let given = format!("{edges:?}");
            let allowed = "rising numbers, at least one".into();
            return Err(Error::InvalidArgument { name: "edges", allowed, given }.into());
        }
        let compat = compat(given)?;
        let method =
            given.choice("method", &[("quantile", Cut::Quantiles), ("uniform", Cut::Uniform)]);
        Ok(Rule {
            bins: bins(given)?,
            cut: match compat {
                Compat::None => method?,
                Compat::Evidently => Cut::Evidently,
                Compat::Nannyml => Cut::Nannyml,
            },
            edges,
            drop_nulls: compat != Compat::None
                || given.choice("nulls", &[("bin", false), ("drop", true)])?,
            drop_nans: compat != Compat::None,
            threshold: given.between("threshold", 0.0, f64::INFINITY, D::THRESHOLD)?,
            own: D::options(given)?,
        })
    }

    fn batch<'a>(columns: &'a [ArrayRef], options: &Self::Options) -> EngineResult<Column<'a>> {
        Ok(Column::of(&columns[0], options.edges.as_ref()))
    }

    fn push(side: &mut Sampled, batch: &Column<'_>, rows: &[u32]) -> u64 {
        batch.push(side, rows);
        0
    }

    fn summed(column: &ArrayRef, _: &Self::Options) -> EngineResult<Vec<Sampled>> {
        let Some(rows) = column.as_list_opt::<i32>() else { return Ok(Vec::new()) };
        let side = |counts: Option<ArrayRef>| {
            let counts = counts.iter().flat_map(|counts| counts.as_primitive::<Int64Type>());
            let counts = counts.map(|n| {
                let n = n.unwrap_or_default();
                u64::try_from(n).map_err(|_| Error::InvalidArgument {
                    name: "counts",
                    allowed: "not negative".into(),
                    given: n.to_string(),
                })
            });
            Ok(Sampled { counts: counts.collect::<Result<_, _>>()?, ..Sampled::default() })
        };
        rows.iter().map(side).collect()
    }

    fn check_summed(reference: &Sampled, current: &Sampled) -> EngineResult<()> {
        let (bins, given) = (reference.counts.len(), current.counts.len());
        // An array that is NULL or empty is a side without rows.
        if bins == given || bins == 0 || given == 0 {
            return Ok(());
        }
        let allowed = format!("of the same bins: {bins} in the reference");
        let given = format!("{given} in the current ones");
        Err(Error::InvalidArgument { name: "counts", allowed, given }.into())
    }

    fn finish(pair: &Pair<'_, Self>, options: &Self::Options, output: &mut Output) {
        let binned = options.bin([pair.control, pair.treatment]);
        let [reference, current] = &binned.all;
        let totals = [reference, current].map(|counts| total(counts));
        let value = D::value(&options.own, reference, current);
        let known = !totals.contains(&0);
        output
            .number(value)
            .count(totals[0])
            .count(totals[1])
            .numbers(binned.edges.as_deref())
            .texts(binned.categories.as_deref())
            .counts(Some(&binned.counts[0]))
            .counts(Some(&binned.counts[1]))
            .count(binned.nulls[0])
            .count(binned.nulls[1])
            .count(binned.nans[0])
            .count(binned.nans[1])
            .count(known.then(|| empty_bins(reference, current)))
            .number(options.threshold)
            .flag(value.map(|v| D::drifted(v, options.threshold, &binned, &options.own)));
        D::finish(&options.own, &binned, output);
        output.text(match (known, value) {
            (false, _) => "missing_arm",
            (true, None) => "insufficient_data",
            (true, Some(_)) => "ok",
        });
    }
}

/// More bins than this are a mistake.
const MOST_BINS: i64 = 100_000;

/// Above the threshold, and more than chance gives at these sizes: 2 js ≈ psi / 4 and so on differ
/// by constants only, so one chi-square test on the counts guards them all.
pub fn beyond_chance(value: f64, threshold: f64, binned: &Binned) -> bool {
    let [reference, current] = &binned.all;
    let test = kernels::statistics::divergence::chi_square(
        kernels::statistics::divergence::ChiSquareKind::Contingency,
        reference,
        current,
    );
    value > threshold && test.is_some_and(|test| test.ln_p_value < CHANCE.ln())
}

/// Probability with which equal distributions may look different.
pub const CHANCE: f64 = 0.05;

/// The psi that chance alone exceeds in one of twenty cases.
pub fn critical(binned: &Binned) -> Option<f64> {
    psi_critical(&binned.all[0], &binned.all[1], CHANCE)
}
