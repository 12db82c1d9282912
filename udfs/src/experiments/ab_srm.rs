//! `ab_srm(variant, weights)`, `ab_srm(counts, weights)`: whether units were split as planned.

use std::collections::BTreeMap;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result as EngineResult;
use kernels::statistics::proportions::sample_ratio;

use crate::Error;
use crate::aggregate::Statistic;
use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::bytes::{put_slice, take_slice, take_u64};
use crate::output::{Output, Shape, Type};
use crate::two_sample::by_name;

/// A split is reported below this p-value, as all platforms do.
const ALARM: f64 = 0.001;

/// Units per arm, or per place of an array of counts.
#[derive(Debug, Clone, Default)]
pub struct SampleRatio {
    arms: BTreeMap<Box<str>, u64>,
    counts: Vec<u64>,
}

/// The plan.
#[derive(Debug)]
pub struct Plan {
    weights: Vec<f64>,
    arms: Option<Vec<String>>,
    min_deviation: f64,
}

/// Arms as text, or arrays of counts.
pub enum Batch {
    Arms(ArrayRef),
    Counts(Vec<Vec<u64>>),
}

impl Statistic for SampleRatio {
    type Options = Plan;
    type Batch<'a> = Batch;

    fn call() -> Call {
        let arguments = vec![
            required("variant", Kind::ArmOrCounts, "the arm of a unit; or counts per arm"),
            required("weights", Kind::Numbers, "planned weights, any scale; none is negative"),
            option("min_deviation", Kind::Number, "no flag while shares are this near (default 0)"),
            option("arms", Kind::Texts, "arms in the order of the weights (default: by name)"),
        ];
        Call { name: "ab_srm", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        vec![
            ("statistic", Type::Number),
            ("df", Type::Number),
            ("p_value", Type::Number),
            ("ln_p_value", Type::Number),
            ("deviation", Type::Number),
            ("flag", Type::Flag),
            ("counts", Type::Counts),
            ("status", Type::Text),
        ]
    }

    fn options(given: &Given) -> EngineResult<Plan> {
        let hint = "Give the planned weights: weights => ARRAY[0.5, 0.5].";
        let missing = Error::MissingArgument { function: "ab_srm", name: "weights", hint };
        let weights = given.numbers("weights")?.ok_or(missing)?;
        let sum: f64 = weights.iter().sum();
        let valid = weights.iter().all(|w| *w >= 0.0) && sum > 0.0 && sum.is_finite();
        if !valid || weights.len() < 2 {
            let allowed = "at least two numbers, none negative, not all zero".into();
            let given = format!("{weights:?}");
            return Err(Error::InvalidArgument { name: "weights", allowed, given }.into());
        }
        let arms = given.texts("arms")?;
        if let Some(arms) = arms.as_ref().filter(|arms| arms.len() != weights.len()) {
            let allowed = format!("{} names, one per weight", weights.len());
            let given = arms.len().to_string();
            return Err(Error::InvalidArgument { name: "arms", allowed, given }.into());
        }
        let min_deviation = given.number("min_deviation")?.unwrap_or(0.0);
        Ok(Plan { weights, arms, min_deviation })
    }

    fn batch<'a>(columns: &'a [ArrayRef], _: &Plan) -> EngineResult<Batch> {
        let Some(lists) = columns[0].as_list_opt::<i32>() else {
            return Ok(Batch::Arms(cast(&columns[0], &DataType::Utf8)?));
        };
        let counts = |list: Option<ArrayRef>| -> EngineResult<Vec<u64>> {
            let counts = list.iter().flat_map(|list| list.as_primitive::<Int64Type>());
            let count = |n: Option<i64>| {
                let n = n.unwrap_or_default();
                let allowed = "not negative".into();
                let error =
                    Error::InvalidArgument { name: "counts", allowed, given: n.to_string() };
                u64::try_from(n).map_err(|_| error.into())
            };
            counts.map(count).collect()
        };
        Ok(Batch::Counts(lists.iter().map(counts).collect::<EngineResult<_>>()?))
    }

    fn push(&mut self, batch: &Batch, rows: &[u32]) {
        let rows = rows.iter().map(|row| *row as usize);
        match batch {
            Batch::Arms(arms) => {
                let arms = arms.as_string::<i32>();
                for row in rows.filter(|row| arms.is_valid(*row)) {
                    match self.arms.get_mut(arms.value(row)) {
                        Some(count) => *count += 1,
                        None => {
                            self.arms.insert(arms.value(row).into(), 1);
                        }
                    }
                }
            }
            Batch::Counts(counts) => rows.for_each(|row| add(&mut self.counts, &counts[row])),
        }
    }

    fn merge(&mut self, other: Self) {
        for (arm, count) in other.arms {
            *self.arms.entry(arm).or_default() += count;
        }
        add(&mut self.counts, &other.counts);
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend((self.counts.len() as u64).to_le_bytes());
        self.counts.iter().for_each(|count| bytes.extend(count.to_le_bytes()));
        for (arm, count) in &self.arms {
            put_slice(bytes, arm.as_bytes());
            bytes.extend(count.to_le_bytes());
        }
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut state = Self::default();
        for _ in 0..take_u64(&mut bytes)? {
            state.counts.push(take_u64(&mut bytes)?);
        }
        while !bytes.is_empty() {
            let arm = std::str::from_utf8(take_slice(&mut bytes)?).ok()?;
            state.arms.insert(arm.into(), take_u64(&mut bytes)?);
        }
        Some(state)
    }

    fn heap(&self) -> usize {
        self.arms.len() * 64 + self.counts.capacity() * size_of::<u64>()
    }

    fn finish(&self, plan: &Plan, output: &mut Output) {
        let (counts, status) = match self.in_order(plan) {
            Ok(counts) => (counts, "ok"),
            Err(status) => (Vec::new(), status),
        };
        // Units that no plan foresees are in an arm of weight zero.
        let unplanned = self.unplanned(plan);
        let all: Vec<u64> = counts.iter().copied().chain([unplanned]).collect();
        let weights: Vec<f64> = plan.weights.iter().copied().chain([0.0]).collect();
        let answer = sample_ratio(&all, &weights).filter(|_| status == "ok");
        let flag = answer.map(|a| a.ln_p_value < ALARM.ln() && a.deviation >= plan.min_deviation);
        output
            .number(answer.map(|a| a.statistic))
            .number(answer.map(|a| a.df))
            .number(answer.map(|a| a.ln_p_value.exp()))
            .number(answer.map(|a| a.ln_p_value))
            .number(answer.map(|a| a.deviation))
            .flag(flag)
            .counts((status == "ok").then_some(counts.as_slice()))
            .text(match (status, answer) {
                ("ok", None) => "insufficient_data",
                ("ok", Some(_)) if unplanned > 0 => "unplanned_arm",
                (status, _) => status,
            });
    }
}

impl SampleRatio {
    /// Units in arms that are named nowhere, where arms are named.
    fn unplanned(&self, plan: &Plan) -> u64 {
        let Some(arms) = &plan.arms else { return 0 };
        let others = self.arms.iter().filter(|(arm, _)| !arms.iter().any(|name| **name == ***arm));
        others.map(|(_, count)| count).sum()
    }

    /// Counts in the order of the weights.
    fn in_order(&self, plan: &Plan) -> Result<Vec<u64>, &'static str> {
        let wanted = plan.weights.len();
        if self.arms.is_empty() {
            let mut counts = self.counts.clone();
            let more = counts.iter().skip(wanted).any(|count| *count > 0);
            counts.resize(wanted, 0);
            return if more { Err("ambiguous_arms") } else { Ok(counts) };
        }
        if let Some(arms) = &plan.arms {
            let count = |arm: &String| self.arms.get(arm.as_str()).copied().unwrap_or(0);
            return Ok(arms.iter().map(count).collect());
        }
        // Without names an arm that no unit is in cannot be told from the others.
        match self.arms.len() {
            n if n < wanted => Err("missing_arm"),
            n if n > wanted => Err("ambiguous_arms"),
            _ => {
                let mut arms: Vec<(&str, u64)> =
                    self.arms.iter().map(|(arm, count)| (&**arm, *count)).collect();
                arms.sort_by(|a, b| by_name(a.0, b.0));
                Ok(arms.into_iter().map(|(_, count)| count).collect())
            }
        }
    }
}

fn add(to: &mut Vec<u64>, from: &[u64]) {
    if to.len() < from.len() {
        to.resize(from.len(), 0);
    }
    to.iter_mut().zip(from).for_each(|(to, from)| *to = to.saturating_add(*from));
}

const DOC: Doc = Doc {
    summary: "Sample ratio test: Pearson's chi-square of units per arm against the planned weights \
              (Fabijan et al. 2019). flag says p_value < 0.001 and a share at least min_deviation \
              off its plan. A NULL arm is not counted; arms of weight zero take no degree of \
              freedom, and units in one make p zero, as units in arms that are not listed do \
              (status unplanned_arm). Arrays of counts are added up over the rows.",
    example: (
        "SELECT round((ab_srm(ARRAY[821588, 815482], ARRAY[0.5, 0.5])).statistic, 3)",
        "22.774",
    ),
};
