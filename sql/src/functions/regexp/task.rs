//! What the functions do with one text.

use datafusion::arrow::datatypes::DataType;
use regex::{Captures, Regex};

use super::pattern::Flags;
use crate::error::Error;

/// The parts of a match; None for a group that took no part.
pub(super) type Groups = Vec<Option<String>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Task {
    Count,
    Instr,
    Like,
    Match,
    Matches,
    Replace,
    SplitToArray,
    Substr,
    Substring,
}

impl Task {
    /// Those that statements call by their name.
    pub(super) const NAMED: &[Self] = &[
        Self::Count,
        Self::Instr,
        Self::Like,
        Self::Match,
        Self::Matches,
        Self::Replace,
        Self::SplitToArray,
        Self::Substr,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Count => "regexp_count",
            Self::Instr => "regexp_instr",
            Self::Like => "regexp_like",
            Self::Match => "regexp_match",
            Self::Matches => "regexp_matches",
            Self::Replace => "regexp_replace",
            Self::SplitToArray => "regexp_split_to_array",
            Self::Substr => "regexp_substr",
            Self::Substring => "substring",
        }
    }

    /// Whether flag `g` means something.
    pub(super) fn repeats(self) -> bool {
        matches!(self, Self::Matches | Self::Replace)
    }

    /// `t` for every argument that is text and `i` for every integer; None: not so many.
    pub(super) fn arguments(self, given: &[DataType]) -> Option<&'static str> {
        let (least, kinds) = match self {
            Self::Count => (2, "ttit"),
            Self::Instr => (2, "ttiiiti"),
            Self::Like | Self::Match | Self::Matches | Self::SplitToArray => (2, "ttt"),
            Self::Replace if given.get(3).is_some_and(DataType::is_integer) => (4, "tttiit"),
            Self::Replace => (3, "tttt"),
            Self::Substr => (2, "ttiiti"),
            Self::Substring => (2, "tt"),
        };
        (least..=kinds.len()).contains(&given.len()).then_some(&kinds[..given.len()])
    }
}

/// What the numbers among the arguments say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// Characters before the place where the search begins.
    skip: usize,
    /// Which match counts, from 1; of a replacement, 0 for all.
    nth: usize,
    end: bool,
    group: usize,
}

impl Options {
    pub(super) fn read(task: Task, numbers: &[i32], flags: Flags) -> Result<Self, Error> {
        let least = |index: usize, name: &str, least: i32, otherwise: usize| {
            let Some(value) = numbers.get(index) else { return Ok(otherwise) };
            match *value >= least {
                true => Ok(usize::try_from(*value).unwrap_or(0)),
                false => {
                    let message = format!("invalid value for parameter \"{name}\": {value}");
                    Err(Error::new("22023", message))
                }
            }
        };
        let skip = least(0, "start", 1, 1)? - 1;
        let replaces = task == Task::Replace;
        let first = if replaces && flags.all { 0 } else { 1 };
        let nth = least(1, "n", i32::from(!replaces), first)?;
        let (end, group) = match task {
            Task::Instr => {
                let end = least(2, "endoption", 0, 0)?;
                if end > 1 {
                    let message = format!("invalid value for parameter \"endoption\": {end}");
                    return Err(Error::new("22023", message));
                }
                (end == 1, least(3, "subexpr", 0, 0)?)
            }
            Task::Substr => (false, least(2, "subexpr", 0, 0)?),
            _ => (false, 0),
        };
        let nth = if task == Task::Matches && flags.all { 0 } else { nth };
        Ok(Self { skip, nth, end, group })
    }

    /// Every match behind the start, as Postgres goes on: after an empty one, one character on.
    fn all<'t>(&self, text: &'t str, expression: &Regex) -> Vec<Captures<'t>> {
        let mut found = Vec::new();
        let mut at = place(text, self.skip);
        while let Some(start) = at {
            let Some(captures) = expression.captures_at(text, start) else { break };
            let Some(whole) = captures.get(0) else { break };
            at = match whole.is_empty() {
                false => Some(whole.end()),
                true => text[whole.end()..].chars().next().map(|c| whole.end() + c.len_utf8()),
            };
            found.push(captures);
            if self.nth > 0 && found.len() >= self.nth {
                break;
            }
        }
        found
    }

    fn nth<'t>(&self, text: &'t str, expression: &Regex) -> Option<Captures<'t>> {
        self.all(text, expression).into_iter().nth(self.nth - 1)
    }

    /// `regexp_count` and `regexp_instr`.
    pub(super) fn number(&self, task: Task, text: &str, expression: &Regex) -> Result<i32, Error> {
        let found = match task {
            Task::Count => Self { nth: 0, ..*self }.all(text, expression).len(),
            _ => {
                let found = self.nth(text, expression);
                let found = found.as_ref().and_then(|captures| captures.get(self.group));
                found.map_or(0, |found| {
                    let at = if self.end { found.end() } else { found.start() };
                    text[..at].chars().count() + 1
                })
            }
        };
        i32::try_from(found).map_err(|_| Error::new("22003", "integer out of range"))
    }

    /// `regexp_substr` and `substring(… from …)`, which gives the first group if there is one.
    pub(super) fn part(&self, task: Task, text: &str, expression: &Regex) -> Option<String> {
        let first = task == Task::Substring && expression.captures_len() > 1;
        let group = if first { 1 } else { self.group };
        Some(self.nth(text, expression)?.get(group)?.as_str().to_owned())
    }

    /// `regexp_match` and `regexp_split_to_array`.
    pub(super) fn list(&self, task: Task, text: &str, expression: &Regex) -> Option<Groups> {
        match task {
            Task::Match => self.nth(text, expression).map(|captures| groups(&captures)),
            _ => Some(self.split(text, expression)),
        }
    }

    pub(super) fn matches(&self, text: &str, expression: &Regex) -> Vec<Groups> {
        self.all(text, expression).iter().map(groups).collect()
    }

    /// Empty matches at the ends and behind another match split nothing.
    fn split(&self, text: &str, expression: &Regex) -> Groups {
        let mut parts = Vec::new();
        let mut from = 0;
        for captures in (Self { nth: 0, ..*self }).all(text, expression) {
            let Some(found) = captures.get(0) else { continue };
            let nothing =
                found.is_empty() && (found.start() == from || found.start() == text.len());
            if nothing {
                continue;
            }
            parts.push(Some(text[from..found.start()].to_owned()));
            from = found.end();
        }
        parts.push(Some(text[from..].to_owned()));
        parts
    }

    /// `\1` to `\9` are groups and `\&` is the match.
    pub(super) fn replaced(&self, text: &str, expression: &Regex, with: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        let found = self.all(text, expression);
        let skipped = self.nth.saturating_sub(1);
        for captures in found.iter().skip(skipped) {
            let Some(whole) = captures.get(0) else { continue };
            out.push_str(&text[from..whole.start()]);
            let mut template = with.chars();
            while let Some(c) = template.next() {
                if c != '\\' {
                    out.push(c);
                    continue;
                }
                match template.next() {
                    Some('&') => out.push_str(whole.as_str()),
                    Some(digit @ '1'..='9') => {
                        let group = digit.to_digit(10).and_then(|d| captures.get(d as usize));
                        out.push_str(group.map_or("", |group| group.as_str()));
                    }
                    Some('\\') => out.push('\\'),
                    Some(other) => out.extend(['\\', other]),
                    None => out.push('\\'),
                }
            }
            from = whole.end();
        }
        out.push_str(&text[from..]);
        out
    }
}

/// The byte at which so many characters have passed; None beyond the end.
fn place(text: &str, characters: usize) -> Option<usize> {
    let mut places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    places.nth(characters)
}

/// The groups of a match, or the match if it has none.
fn groups(captures: &Captures) -> Groups {
    let text = |index| captures.get(index).map(|found| found.as_str().to_owned());
    match captures.len() {
        1 => vec![text(0)],
        count => (1..count).map(text).collect(),
    }
}
