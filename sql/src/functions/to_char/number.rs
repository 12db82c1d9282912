//! Templates of numbers, with the patterns of Postgres' manual, table 9.29.
//!
//! ```text
//!   S 9 9 0 . 9 9        a digit's place is filled from the number's digits, which stand right
//!   - 1 2 3 . 4 5        in the places before the point; those that it does not reach are blank
//! ```

use crate::error::Error;

use super::digits::{Number, exact, roman};
use super::places::Writer;
use super::time::quoted;

/// Patterns, those before others that they begin with.
const WORDS: &[&str] = &[
    "EEEE", "FM", "MI", "PL", "PR", "RN", "SG", "TH", ",", ".", "0", "9", "B", "C", "D", "G", "L",
    "S", "V",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// A digit; whether a zero is written where there is none.
    Digit {
        zero: bool,
    },
    Point,
    Group,
    Currency,
    Minus,
    Plus,
    Sign,
    Roman {
        small: bool,
    },
    Ordinal {
        capital: bool,
    },
    /// Nothing is written here: S, PR, FM, V, EEEE act on the whole; B and C say nothing.
    Silent,
}

/// Most places of a template: a numeric of Postgres has no more digits behind its point.
const MOST_PLACES: usize = 16_383;

/// Where S writes the sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
}

/// A template that has been read.
#[derive(Debug, Default)]
pub(super) struct Template {
    pub parts: Vec<Part>,
    /// Digits before and after the point, and those that V shifts it by.
    pub before: usize,
    pub after: usize,
    pub shift: usize,
    pub is_shifted: bool,
    pub has_point: bool,
    /// Places before the first 0, and up to the last.
    pub zero_start: Option<usize>,
    pub zero_end: usize,
    pub side: Option<Side>,
    /// Digits before an S.
    pub digits_before_sign: usize,
    pub minus: bool,
    pub plus: bool,
    pub bracket: bool,
    pub fill: bool,
    pub roman: bool,
    pub exponent: bool,
}

fn refused(message: &str) -> Error {
    Error::new("42601", message)
}

impl Template {
    pub fn new(format: &str) -> Result<Self, Error> {
        let mut template = Self::default();
        let mut rest = format;
        while let Some(first) = rest.chars().next() {
            let word = WORDS.iter().find_map(|word| {
                let start = rest.get(..word.len())?;
                let small = start.eq_ignore_ascii_case(word)
                    && start.bytes().all(|b| !b.is_ascii_uppercase());
                (start == *word || small).then_some((*word, small && start != *word))
            });
            if let Some((word, small)) = word {
                rest = &rest[word.len()..];
                let part = template.read(word, small)?;
                template.parts.push(part);
                continue;
            }
            let (text, after) = match first {
                '"' => quoted(&rest[1..]),
                '\\' if rest[1..].starts_with('"') => ("\"".to_owned(), &rest[2..]),
                _ => (first.to_string(), &rest[first.len_utf8()..]),
            };
            template.parts.push(Part::Text(text));
            rest = after;
        }
        if template.side == Some(Side::Before) && template.before == template.digits_before_sign {
            template.side = Some(Side::After);
        }
        Ok(template)
    }

    fn read(&mut self, word: &str, small: bool) -> Result<Part, Error> {
        if self.exponent && word != "EEEE" {
            return Err(refused("\"EEEE\" must be the last pattern used"));
        }
        let signs = "cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together";
        match word {
            "9" | "0" => return self.digit(word == "0"),
            "." | "D" => {
                if self.has_point {
                    return Err(refused("multiple decimal points"));
                }
                if self.is_shifted {
                    return Err(refused("cannot use \"V\" and decimal point together"));
                }
                self.has_point = true;
                return Ok(Part::Point);
            }
            "S" => {
                if self.side.is_some() {
                    return Err(refused("cannot use \"S\" twice"));
                }
                if self.minus || self.plus || self.bracket {
                    return Err(refused(signs));
                }
                let side = if self.has_point { Side::After } else { Side::Before };
                (self.side, self.digits_before_sign) = (Some(side), self.before);
            }
            "MI" | "PL" | "SG" | "PR" if self.side.is_some() => return Err(refused(signs)),
            "PR" if self.minus || self.plus => {
                return Err(refused("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together"));
            }
            "PR" => self.bracket = true,
            "MI" => self.minus = true,
            "PL" => self.plus = true,
            "SG" => (self.minus, self.plus) = (true, true),
            "FM" => self.fill = true,
            "RN" => self.roman = true,
            "V" if self.has_point => {
                return Err(refused("cannot use \"V\" and decimal point together"));
            }
            "V" => self.is_shifted = true,
            "EEEE" => self.exponent()?,
            _ => {}
        }
        Ok(match word {
            "MI" => Part::Minus,
            "PL" => Part::Plus,
            "SG" => Part::Sign,
            "RN" => Part::Roman { small },
            "TH" => Part::Ordinal { capital: !small },
            "," | "G" => Part::Group,
            "L" => Part::Currency,
            _ => Part::Silent,
        })
    }

    fn digit(&mut self, zero: bool) -> Result<Part, Error> {
        if self.bracket {
            let digit = if zero { "0" } else { "9" };
            return Err(refused(&format!("\"{digit}\" must be ahead of \"PR\"")));
        }
        if zero && self.zero_start.is_none() && !self.has_point {
            self.zero_start = Some(self.before);
        }
        if self.is_shifted && !zero {
            self.shift += 1;
        } else if self.has_point {
            self.after += 1;
        } else {
            self.before += 1;
        }
        if zero {
            self.zero_end = self.before + self.after;
        }
        if self.before + self.after + self.shift > MOST_PLACES {
            return Err(refused(&format!("a format has at most {MOST_PLACES} digits")));
        }
        Ok(Part::Digit { zero })
    }

    fn exponent(&mut self) -> Result<(), Error> {
        if self.exponent {
            return Err(refused("cannot use \"EEEE\" twice"));
        }
        let signs = self.side.is_some() || self.minus || self.plus || self.bracket;
        if signs || self.fill || self.roman || self.is_shifted {
            let detail =
                "\"EEEE\" may only be used together with digit and decimal point patterns.";
            let error = refused("\"EEEE\" is incompatible with other formats");
            return Err(error.with_detail(detail));
        }
        self.exponent = true;
        Ok(())
    }

    /// The value under the template; digits that find no place make it `#`.
    pub fn write(&self, number: &Number) -> Result<String, Error> {
        if self.exponent {
            return Ok(self.scientific(number));
        }
        if self.roman {
            return Ok(self.with_numeral(number));
        }
        let before = self.before + self.shift;
        let (negative, digits) = number.digits(self.shift, self.after)?;
        let whole = digits.find('.').unwrap_or(digits.len());
        let digits = match whole.cmp(&before) {
            std::cmp::Ordering::Greater => {
                format!("{}.{}", "#".repeat(before), "#".repeat(self.after))
            }
            _ => digits,
        };
        let blank = before.saturating_sub(whole);
        Ok(Writer::new(self, negative, digits.into_bytes(), blank).run())
    }

    fn scientific(&self, number: &Number) -> String {
        let of_double = |value: f64| {
            let text = value.is_finite().then(|| format!("{:.*e}", self.after, value.abs()));
            (value < 0.0, text)
        };
        let (negative, text) = match number {
            Number::Real(value) => of_double(f64::from(*value)),
            Number::Double(value) => of_double(*value),
            Number::Integer(value) => of_double(*value as f64),
            Number::Decimal(value, scale) => {
                let text = exact(value.unsigned_abs(), i32::from(*scale), self.after);
                (*value < 0, Some(text))
            }
        };
        let sign = if negative { '-' } else { ' ' };
        let Some(text) = text else {
            return format!(" {}.{}", "#".repeat(self.before), "#".repeat(self.after + 4));
        };
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        format!("{sign}{digits}e{exponent_sign}{:02}", exponent.abs())
    }

    fn with_numeral(&self, number: &Number) -> String {
        let small = self.parts.contains(&Part::Roman { small: true });
        let numeral = number.rounded().and_then(roman).unwrap_or_else(|| "#".repeat(15));
        let numeral = if small { numeral.to_ascii_lowercase() } else { numeral };
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Roman { .. } if self.fill => text.push_str(&numeral),
                Part::Roman { .. } => text.push_str(&format!("{numeral:>15}")),
                Part::Text(literal) => text.push_str(literal),
                _ => {}
            }
        }
        text
    }
}
