//! OPTIONS (…): what a training is told, by name.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result, near_names};
use crate::parse::OptionValue;

/// Options as written, and which of them were asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    values: BTreeMap<String, OptionValue>,
    known: BTreeSet<&'static str>,
}

impl Given {
    /// # Errors
    /// 42601 for an option that is there twice.
    pub fn new(options: &[(String, OptionValue)]) -> Result<Self> {
        let mut values = BTreeMap::new();
        for (name, value) in options {
            if values.insert(name.clone(), value.clone()).is_some() {
                return Err(Error::new("42601", format!("option \"{name}\" is given twice")));
            }
        }
        Ok(Self { values, known: BTreeSet::new() })
    }

    /// As they are kept: name and text.
    pub fn shown(&self) -> BTreeMap<String, String> {
        self.values.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
    }

    /// Those that are searched for.
    pub fn searched(&self) -> impl Iterator<Item = (&String, &OptionValue)> {
        self.values.iter().filter(|(_, value)| {
            matches!(value, OptionValue::Range(..) | OptionValue::Candidates(_))
        })
    }

    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The same with another value.
    pub fn set(&mut self, name: &str, value: OptionValue) {
        self.values.insert(name.to_owned(), value);
    }

    fn take(&mut self, name: &'static str) -> Option<&OptionValue> {
        self.known.insert(name);
        self.values.get(name)
    }

    pub fn text(&mut self, name: &'static str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(OptionValue::Text(text)) => Ok(Some(text.clone())),
            Some(other) => Err(wrong(name, other, "a text")),
        }
    }

    /// A name of a column, `default` where nothing is said.
    pub fn texts(&mut self, name: &'static str) -> Result<Vec<String>> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(OptionValue::Text(text)) => Ok(vec![text.clone()]),
            Some(list @ OptionValue::List(items)) => {
                let text = |item: &OptionValue| match item {
                    OptionValue::Text(text) => Some(text.clone()),
                    _ => None,
                };
                let texts: Option<Vec<String>> = items.iter().map(text).collect();
                texts.ok_or_else(|| wrong(name, list, "an array of texts"))
            }
            Some(other) => Err(wrong(name, other, "an array of texts")),
        }
    }

    pub fn number(&mut self, name: &'static str, default: f64) -> Result<f64> {
        match self.take(name) {
            None => Ok(default),
            Some(value @ OptionValue::Number(text)) => {
                let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
                number.ok_or_else(|| wrong(name, value, "a number"))
            }
            Some(other) => Err(wrong(name, other, "a number")),
        }
    }

    /// A number as kernels of single precision take it.
    pub fn single(&mut self, name: &'static str, default: f32) -> Result<f32> {
        self.number(name, f64::from(default)).map(|number| number as f32)
    }

    pub fn whole(&mut self, name: &'static str, default: usize) -> Result<usize> {
        match self.take(name) {
            None => Ok(default),
            Some(value @ OptionValue::Number(text)) => {
                text.parse().map_err(|_| wrong(name, value, "a whole number of at least 0"))
            }
            Some(other) => Err(wrong(name, other, "a whole number of at least 0")),
        }
    }

    pub fn flag(&mut self, name: &'static str, default: bool) -> Result<bool> {
        match self.take(name) {
            None => Ok(default),
            Some(OptionValue::Flag(flag)) => Ok(*flag),
            Some(other) => Err(wrong(name, other, "true or false")),
        }
    }

    /// An array of numbers.
    pub fn numbers(&mut self, name: &'static str) -> Result<Vec<f64>> {
        let Some(value) = self.take(name) else { return Ok(Vec::new()) };
        let OptionValue::List(items) = value else {
            return Err(wrong(name, value, "an array of numbers"));
        };
        let number = |item: &OptionValue| match item {
            OptionValue::Number(text) => text.parse::<f64>().ok(),
            _ => None,
        };
        let numbers: Option<Vec<f64>> = items.iter().map(number).collect();
        numbers.ok_or_else(|| wrong(name, value, "an array of numbers"))
    }

    /// Widths of hidden layers.
    pub fn widths(&mut self, name: &'static str, default: &[usize]) -> Result<Vec<usize>> {
        if !self.has(name) {
            self.known.insert(name);
            return Ok(default.to_vec());
        }
        let width = |width: f64| match width >= 1.0 && width.fract() == 0.0 {
            true => Ok(width as usize),
            false => Err(Error::new(
                "22023",
                format!("option \"{name}\" must hold whole numbers of at least 1, not {width}"),
            )),
        };
        self.numbers(name)?.into_iter().map(width).collect()
    }

    /// A part from 0 to under 1.
    pub fn share(&mut self, name: &'static str, default: f64) -> Result<f64> {
        let share = self.number(name, default)?;
        match (0.0..1.0).contains(&share) {
            true => Ok(share),
            false => Err(Error::new(
                "22023",
                format!("option \"{name}\" must be at least 0 and under 1, not {share}"),
            )),
        }
    }

    /// One of several words.
    pub fn one_of(
        &mut self,
        name: &'static str,
        words: &[&'static str],
    ) -> Result<Option<&'static str>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match words.iter().find(|word| **word == text) {
            Some(word) => Ok(Some(word)),
            None => Err(Error::new("22023", format!("option \"{name}\" cannot be \"{text}\""))
                .with_hint(format!("It may be {}.", words.join(", ")))),
        }
    }

    /// After all that a model takes was asked for.
    ///
    /// # Errors
    /// 42704 for an option that it does not take, with near names.
    pub fn check(&self, of: &str) -> Result<()> {
        let other = self.values.keys().find(|name| !self.known.contains(name.as_str()));
        let Some(other) = other else { return Ok(()) };
        let message = format!("models of type \"{of}\" have no option \"{other}\"");
        let all = || {
            let names: Vec<&str> = self.known.iter().copied().collect();
            format!("They have {}.", names.join(", "))
        };
        let hint = near_names(other, self.known.iter().copied()).unwrap_or_else(all);
        Err(Error::new("42704", message).with_hint(hint))
    }
}

fn wrong(name: &str, value: &OptionValue, must: &str) -> Error {
    Error::new("22023", format!("option \"{name}\" must be {must}, not {value}"))
}
