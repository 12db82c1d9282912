//! What the distances over bins share: how values become counts, and the answer's fields.
//!
//! Numbers: bins between edges, [a, b), open at both ends; the edges are given, or the reference's
//! quantiles, or equal widths over its range. Categories: a bin each. NULL and NaN have bins of
//! their own; `nulls => 'drop'` leaves NULL out. Counts instead of values are added up, bin by bin.
//! `is_current` false is the reference, true the current data.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::error::Result as EngineResult;
use kernels::statistics::divergence::{empty_bins, psi_critical, total};
use kernels::statistics::histogram::{
    counts_of, edges_rise, evidently_edges, nannyml_edges, quantile_edges, uniform_edges_of,
};

use super::fill::{Compat, compat, compat_argument};
use super::sampled::{Column, Sampled};
use crate::Error;
use crate::arguments::{Argument, Call, Doc, Given, Kind, option, required};
use crate::output::{Output, Shape, Type};
use crate::two_sample::{Pair, TwoSample, nothing};

/// What a distance adds to the bins.
pub trait Distance: Debug + Default + Clone + Send + Sync + 'static {
    /// Its own options, understood.
    type Options: Debug + Send + Sync + 'static;
    /// Its SQL name.
    const NAME: &'static str;
    /// Above this it counts as drift, unless the call says otherwise.
    const THRESHOLD: f64;

    /// Writes its own fields.
    fn finish(_: &Self::Options, _: &Binned, _: &mut Output) {}
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
    /// How values became bins.
    pub method: &'static str,
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
        let is_text = sides.iter().any(|side| side.text);
        let is_counted = sides.iter().any(|side| !side.counts.is_empty());
        let mut binned = Binned {
            method: match (is_text, &self.edges, is_counted, self.cut) {
                (true, ..) => "category",
                (_, Some(_), ..) => "edges",
                (_, _, true, _) => "counts",
                (.., Cut::Quantiles) => "quantile",
                (.., Cut::Uniform) => "uniform",
                (.., Cut::Evidently) => "evidently",
                (.., Cut::Nannyml) => "nannyml",
            },
            nulls: sides.map(|side| side.nulls),
            nans: sides.map(|side| side.values.nans),
            ..Binned::default()
        };
        if is_text {
            let mut counts: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
            for (place, side) in sides.iter().enumerate() {
                for (name, count) in &side.categories {
                    counts.entry(name).or_default()[place] += count;
                }
            }
            binned.categories = Some(counts.keys().map(|name| (*name).into()).collect());
            binned.counts = [0, 1].map(|place| counts.values().map(|pair| pair[place]).collect());
        } else if self.edges.is_none() && is_counted {
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
        // Bins apart are there if something is in them.
        let apart = [(self.drop_nulls, binned.nulls), (self.drop_nans, binned.nans)];
        let apart = apart.iter().filter(|(is_dropped, sides)| !is_dropped && *sides != [0, 0]);
        binned.all = [0, 1].map(|place| {
            let apart = apart.clone().map(|(_, sides)| sides[place]);
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
            ("method", Type::Text),
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
        let Some(rows) = column.as_list_opt::<i32>() else {
            return nothing(column);
        };
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
            Ok(Sampled::of_counts(counts.collect::<Result<_, _>>()?))
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
            .text(binned.method)
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
