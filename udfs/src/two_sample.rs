//! Aggregates that compare two arms: each arm has its sufficient statistics, found by the arm's
//! name.
//!
//! Arms are text, integers or booleans, any number of them. Rows whose arm is NULL or not one of
//! the two take no part. Unless named, control is the arm called "control", else the least that is
//! not called "treatment", and treatment the only other; with more than two arms the status is
//! then `ambiguous_arms`.

mod codes;
mod comparison;
mod each;
mod side;

use std::cmp::Ordering;
use std::fmt::Debug;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result as EngineResult;
use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::Error;
use crate::aggregate::Statistic;
use crate::arguments::{Argument, Call, Given, Kind, option};
use crate::bytes::{put_slice, put_with, take_slice, take_u64};
use crate::output::{Output, Shape};

use codes::{ARMS, codes};
pub(crate) use comparison::{comparison_shape, options, test_arguments, write};
pub(crate) use each::Each;
pub(crate) use side::{ClusterSums, Side, Values, nothing, push_values, states};

/// What a comparison keeps of each arm and how it answers.
pub trait TwoSample: Debug + Default + Clone + Send + Sync + 'static {
    /// The sufficient statistics of an arm.
    type Side: Side;
    /// The constant arguments, understood.
    type Options: Debug + Send + Sync + 'static;
    /// The columns of a batch, of their types.
    type Batch<'a>;
    /// Which argument is the arm.
    const ARM: usize;
    /// The name of the function that compares each arm with control, if there is one.
    const EACH: &'static str = "";

    /// Name, arguments, documentation.
    fn call() -> Call;
    /// The fields of the answer.
    fn shape() -> Shape;
    /// Reads the options.
    fn options(given: &Given) -> EngineResult<Self::Options>;
    /// Looks at the columns of a batch.
    fn batch<'a>(columns: &'a [ArrayRef], options: &Self::Options)
    -> EngineResult<Self::Batch<'a>>;
    /// Takes rows of a batch; answers how many had a NULL and were left out.
    fn push(side: &mut Self::Side, batch: &Self::Batch<'_>, rows: &[u32]) -> u64;
    /// Reads a column in which each row sums up an arm (states, counts): such columns may stand for
    /// both the values and the arms of functions whose arguments allow it.
    fn summed(_: &ArrayRef, _: &Self::Options) -> EngineResult<Vec<Self::Side>> {
        Ok(Vec::new())
    }
    /// Whether two arms that were summed up elsewhere can be compared.
    fn check_summed(_control: &Self::Side, _treatment: &Self::Side) -> EngineResult<()> {
        Ok(())
    }
    /// Writes the answer's fields.
    fn finish(pair: &Pair<'_, Self>, options: &Self::Options, output: &mut Output);
    /// The arms' names, if they are not the caller's to choose.
    fn fixed_arms() -> Option<[&'static str; 2]> {
        None
    }
}

/// The two arms of an answer.
pub struct Pair<'a, T: TwoSample> {
    /// Control.
    pub control: &'a T::Side,
    /// Treatment.
    pub treatment: &'a T::Side,
    /// Rows of the two that had a NULL.
    pub nulls: u64,
    /// More than two arms, and none named: the sides are empty.
    pub ambiguous: bool,
}

/// The arguments that name the arms.
pub fn arm_arguments() -> [Argument; 2] {
    [
        option("control", Kind::Text, "name of the control arm; else \"control\" or the least"),
        option("treatment", Kind::Text, "name of the treatment arm; else the only other"),
    ]
}

/// Options of the comparison and the arms' names.
#[derive(Debug)]
pub struct ArmOptions<O> {
    own: O,
    control: Option<SmolStr>,
    treatment: Option<SmolStr>,
}

impl<O> ArmOptions<O> {
    /// Of all arms that there are.
    pub fn of_all(own: O) -> Self {
        Self { own, control: None, treatment: None }
    }
}

#[derive(Debug, Clone, Default)]
struct Arm<S> {
    label: SmolStr,
    nulls: u64,
    side: S,
}

/// The state of a group: its arms in order of appearance. The usual two, of short names, are in the
/// value itself: of a million groups none holds memory of its own for them.
#[derive(Debug, Clone, Default)]
pub struct Arms<T: TwoSample> {
    arms: SmallVec<[Arm<T::Side>; 2]>,
}

/// A batch with the arm of each row.
pub struct ArmBatch<'a, T: TwoSample> {
    labels: Vec<SmolStr>,
    rows: Rows<'a, T>,
}

enum Rows<'a, T: TwoSample> {
    /// Values, and the code of each row's arm.
    Single(T::Batch<'a>, Vec<u16>),
    /// Sums of control and of treatment in each row.
    Summed([Vec<T::Side>; 2]),
}

impl<T: TwoSample> Arms<T> {
    /// The arm of a label; usually it stands where its code says.
    fn arm(&mut self, code: usize, label: &SmolStr) -> &mut Arm<T::Side> {
        let holds = |arm: &Arm<T::Side>| arm.label == *label;
        let index = match self.arms.get(code) {
            Some(arm) if holds(arm) => code,
            Some(_) | None => self.arms.iter().position(holds).unwrap_or(self.arms.len()),
        };
        if index == self.arms.len() {
            let label = label.clone();
            self.arms.push(Arm { label, nulls: 0, side: T::Side::default() });
        }
        &mut self.arms[index]
    }

    fn named(&self, name: &str) -> Option<&Arm<T::Side>> {
        self.arms.iter().find(|arm| arm.label == name)
    }

    /// The arms that count as control and treatment.
    fn pair<O>(&self, options: &ArmOptions<O>) -> [Option<&Arm<T::Side>>; 2] {
        let mut labels: Vec<&str> = self.arms.iter().map(|arm| arm.label.as_str()).collect();
        labels.sort_by(|a, b| by_name(a, b));
        let treatment = options.treatment.as_deref();
        let control = options.control.as_deref().or_else(|| {
            let mut others = labels.iter().filter(|label| Some(**label) != treatment);
            let called = others.clone().find(|label| label.eq_ignore_ascii_case("control"));
            let is_other = |label: &&&str| !label.eq_ignore_ascii_case("treatment");
            called.or_else(|| others.find(is_other)).copied()
        });
        let treatment =
            treatment.or_else(|| labels.iter().find(|label| Some(**label) != control).copied());
        [control, treatment].map(|name| name.and_then(|name| self.named(name)))
    }
}

/// Numbers by value, before text.
pub(crate) fn by_name(a: &str, b: &str) -> Ordering {
    match (a.parse::<i64>(), b.parse::<i64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

impl<T: TwoSample> Statistic for Arms<T> {
    type Options = ArmOptions<T::Options>;
    type Batch<'a> = ArmBatch<'a, T>;

    fn call() -> Call {
        T::call()
    }

    fn shape() -> Shape {
        T::shape()
    }

    fn options(given: &Given) -> EngineResult<Self::Options> {
        let [control, treatment]: [Option<SmolStr>; 2] = match T::fixed_arms() {
            Some(arms) => arms.map(|arm| Some(SmolStr::new(arm))),
            None => [given.text("control")?, given.text("treatment")?]
                .map(|name| name.map(SmolStr::new)),
        };
        if control.is_some() && control == treatment {
            return Err(Error::InvalidArgument {
                name: "treatment",
                allowed: "another arm than control".into(),
                given: format!("'{}'", control.unwrap_or_default()),
            }
            .into());
        }
        Ok(ArmOptions { own: T::options(given)?, control, treatment })
    }

    fn batch<'a>(
        columns: &'a [ArrayRef],
        options: &Self::Options,
    ) -> EngineResult<Self::Batch<'a>> {
        let mut labels = Vec::new();
        let only = match (&options.control, &options.treatment) {
            (Some(control), Some(treatment)) => {
                labels = vec![control.clone(), treatment.clone()];
                true
            }
            (_, _) => false,
        };
        let is_summed =
            |column: &ArrayRef| matches!(column.data_type(), DataType::Binary | DataType::List(_));
        if is_summed(&columns[T::ARM]) || is_summed(&columns[0]) {
            let [control, treatment] = [0, 1].map(|place| T::summed(&columns[place], &options.own));
            let (control, treatment) = (control?, treatment?);
            control.iter().zip(&treatment).try_for_each(|(c, t)| T::check_summed(c, t))?;
            let names = T::fixed_arms().unwrap_or(["control", "treatment"]);
            let rows = Rows::Summed([control, treatment]);
            return Ok(ArmBatch { labels: names.map(SmolStr::new).into(), rows });
        }
        let codes = codes(&columns[T::ARM], &mut labels, only);
        if labels.len() > ARMS {
            return Err(Error::InvalidArgument {
                name: "variant",
                allowed: format!("a column of at most {ARMS} arms"),
                given: "one with more".into(),
            }
            .into());
        }
        Ok(ArmBatch { labels, rows: Rows::Single(T::batch(columns, &options.own)?, codes) })
    }

    fn push(&mut self, batch: &Self::Batch<'_>, rows: &[u32]) {
        let labels = &batch.labels;
        match (&batch.rows, rows) {
            (Rows::Summed(sides), rows) => {
                for (code, (label, sides)) in labels.iter().zip(sides).enumerate() {
                    let arm = self.arm(code, label);
                    rows.iter().for_each(|row| arm.side.merge(sides[*row as usize].clone()));
                }
            }
            // One row, or all of one side of a comparison.
            (Rows::Single(own, codes), [first, ..])
                if rows.iter().all(|row| codes[*row as usize] == codes[*first as usize]) =>
            {
                self.push_arm(own, labels, codes[*first as usize], rows);
            }
            (Rows::Single(own, codes), rows) => {
                let mut sorted = vec![Vec::new(); labels.len()];
                for row in rows {
                    if let Some(rows) = sorted.get_mut(codes[*row as usize] as usize) {
                        rows.push(*row);
                    }
                }
                for (code, rows) in (0u16..).zip(&sorted).filter(|(_, rows)| !rows.is_empty()) {
                    self.push_arm(own, labels, code, rows);
                }
            }
        }
    }

    fn merge(&mut self, other: Self) {
        for (code, from) in other.arms.into_iter().enumerate() {
            let to = self.arm(code, &from.label);
            to.nulls += from.nulls;
            to.side.merge(from.side);
        }
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        for arm in &self.arms {
            put_slice(bytes, arm.label.as_bytes());
            bytes.extend(arm.nulls.to_le_bytes());
            put_with(bytes, |bytes| arm.side.encode(bytes));
        }
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut state = Self::default();
        while !bytes.is_empty() {
            let label = take_slice(&mut bytes)?;
            let label = SmolStr::new(std::str::from_utf8(label).ok()?);
            let nulls = take_u64(&mut bytes)?;
            let side = T::Side::decode(take_slice(&mut bytes)?)?;
            state.arms.push(Arm { label, nulls, side });
        }
        Some(state)
    }

    fn heap(&self) -> usize {
        let label = |label: &SmolStr| if label.is_heap_allocated() { label.len() } else { 0 };
        let sides = self.arms.iter().map(|arm| label(&arm.label) + arm.side.heap());
        let spilled = if self.arms.spilled() { self.arms.capacity() } else { 0 };
        spilled * size_of::<Arm<T::Side>>() + sides.sum::<usize>()
    }

    fn finish(&self, options: &Self::Options, output: &mut Output) {
        self.answer::<T>(options, output);
    }
}

impl<T: TwoSample> Arms<T> {
    /// Writes the answer of a comparison that keeps the same of each arm.
    pub fn answer<U: TwoSample<Side = T::Side>>(
        &self,
        options: &ArmOptions<U::Options>,
        output: &mut Output,
    ) {
        let empty = Arm::default();
        let named = options.control.is_some() && options.treatment.is_some();
        let ambiguous = !named && self.arms.len() > 2;
        let [control, treatment] = match ambiguous {
            true => [&empty, &empty],
            false => self.pair(options).map(|arm| arm.unwrap_or(&empty)),
        };
        let pair = Pair {
            control: &control.side,
            treatment: &treatment.side,
            nulls: control.nulls + treatment.nulls,
            ambiguous,
        };
        U::finish(&pair, &options.own, output);
    }

    /// What is kept of each arm, in another form.
    pub fn with_sides(mut self, change: impl Fn(T::Side) -> T::Side) -> Self {
        for arm in &mut self.arms {
            arm.side = change(std::mem::take(&mut arm.side));
        }
        self
    }

    fn push_arm(&mut self, batch: &T::Batch<'_>, labels: &[SmolStr], code: u16, rows: &[u32]) {
        if let Some(label) = labels.get(code as usize) {
            let arm = self.arm(code as usize, label);
            arm.nulls += T::push(&mut arm.side, batch, rows);
        }
    }
}
