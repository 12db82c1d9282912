//! `ab_interleaving(clicks_a, clicks_b [, user])`: which of two interleaved rankings wins.

use std::collections::HashMap;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringArray};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::error::Result as EngineResult;
use kernels::statistics::tails::binomial_ln_at_least;

use crate::aggregate::Statistic;
use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::bytes::{put_slice, take_slice, take_u64};
use crate::output::{Output, Shape, Type};

/// Wins of lists, or clicks of users.
#[derive(Debug, Clone, Default)]
pub struct Interleaving {
    wins: [u64; 2],
    ties: u64,
    users: HashMap<Box<str>, f64>,
    names: usize,
    nulls: u64,
    nans: u64,
}

impl Interleaving {
    /// Counts who has more.
    fn count(&mut self, lead: f64) {
        match lead {
            lead if lead > 0.0 => self.wins[1] += 1,
            lead if lead < 0.0 => self.wins[0] += 1,
            _ => self.ties += 1,
        }
    }

    fn add(&mut self, user: &str, lead: f64) {
        match self.users.get_mut(user) {
            Some(sum) => *sum += lead,
            None => {
                self.names += user.len();
                self.users.insert(user.into(), lead);
            }
        }
    }
}

impl Statistic for Interleaving {
    type Options = ();
    type Batch<'a> = ([&'a Float64Array; 2], Option<&'a StringArray>);

    fn call() -> Call {
        let arguments = vec![
            required("clicks_a", Kind::Number, "clicks on items of team a in a list"),
            required("clicks_b", Kind::Number, "clicks on items of team b in it"),
            option("user", Kind::Text, "who clicked: lists of a user are taken together"),
        ];
        Call { name: "ab_interleaving", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        vec![
            ("wins_a", Type::Count),
            ("wins_b", Type::Count),
            ("ties", Type::Count),
            ("delta", Type::Number),
            ("p_value", Type::Number),
            ("ln_p_value", Type::Number),
            ("n_null", Type::Count),
            ("n_nan", Type::Count),
            ("status", Type::Text),
        ]
    }

    fn options(_: &Given) -> EngineResult<()> {
        Ok(())
    }

    fn batch<'a>(columns: &'a [ArrayRef], (): &()) -> EngineResult<Self::Batch<'a>> {
        let clicks = [0, 1].map(|place: usize| columns[place].as_primitive::<Float64Type>());
        Ok((clicks, columns.get(2).map(|users| users.as_string::<i32>())))
    }

    fn push(&mut self, ([a, b], users): &Self::Batch<'_>, rows: &[u32]) {
        for row in rows.iter().map(|row| *row as usize) {
            let no_user = users.is_some_and(|users| users.is_null(row));
            if a.is_null(row) || b.is_null(row) || no_user {
                self.nulls += 1;
                continue;
            }
            let lead = b.value(row) - a.value(row);
            if lead.is_nan() {
                self.nans += 1;
                continue;
            }
            match users {
                Some(users) => self.add(users.value(row), lead),
                None => self.count(lead),
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.wins = [0, 1].map(|team| self.wins[team] + other.wins[team]);
        self.ties += other.ties;
        self.nulls += other.nulls;
        self.nans += other.nans;
        other.users.iter().for_each(|(user, lead)| self.add(user, *lead));
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let counts = [self.wins[0], self.wins[1], self.ties, self.nulls, self.nans];
        counts.iter().for_each(|count| bytes.extend(count.to_le_bytes()));
        for (user, lead) in &self.users {
            put_slice(bytes, user.as_bytes());
            bytes.extend(lead.to_le_bytes());
        }
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut state = Self {
            wins: [take_u64(&mut bytes)?, take_u64(&mut bytes)?],
            ties: take_u64(&mut bytes)?,
            nulls: take_u64(&mut bytes)?,
            nans: take_u64(&mut bytes)?,
            ..Self::default()
        };
        while !bytes.is_empty() {
            let user = std::str::from_utf8(take_slice(&mut bytes)?).ok()?;
            let lead = f64::from_bits(take_u64(&mut bytes)?);
            state.add(user, lead);
        }
        Some(state)
    }

    fn heap(&self) -> usize {
        self.users.capacity() * (size_of::<(Box<str>, f64)>() + 1) + self.names
    }

    fn finish(&self, (): &(), output: &mut Output) {
        let mut state = self.clone();
        self.users.values().for_each(|lead| state.count(*lead));
        let ([a, b], ties) = (state.wins, state.ties);
        let all = (a + b + ties) as f64;
        let known = all > 0.0 && state.nans == 0;
        let delta = (b as f64 + ties as f64 / 2.0) / all - 0.5;
        let tail = binomial_ln_at_least(a.max(b), a + b, 0.5);
        let ln_p_value = (tail + std::f64::consts::LN_2).min(0.0);
        output
            .count(a)
            .count(b)
            .count(ties)
            .number(known.then_some(delta))
            .number(known.then(|| ln_p_value.exp()))
            .number(known.then_some(ln_p_value))
            .count(self.nulls)
            .count(self.nans)
            .text(match (known, self.nans) {
                (true, _) => "ok",
                (false, 0) => "insufficient_data",
                (false, _) => "non_finite",
            });
    }
}

const DOC: Doc = Doc {
    summary: "Who wins more interleaved lists (of a user together, if given): delta is (wins_b + \
              ties / 2) / all - 1/2 (Chapelle, Joachims, Radlinski & Yue 2012), positive for b; \
              p_value of the exact two-sided sign test without ties. Rows with a NULL are counted \
              in n_null and left out; with a NaN nothing can be said (status non_finite).",
    example: (
        "SELECT (ab_interleaving(a, b)).delta FROM (VALUES (0, 1), (0, 2), (1, 0), (1, 1)) t(a, b)",
        "0.125",
    ),
};
