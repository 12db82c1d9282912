//! A vector as text and as bytes, as pgvector reads and writes them (its `vector_in`, `vector_out`,
//! `vector_recv`, `vector_send`, those of `halfvec`, and their messages, version 0.8).
//!
//! ```text
//!   text    [1,2.5,-3e-05]      white space around elements; out: shortest digits that come back
//!   bytes   dimension i16 | 0 i16 | elements f32 or f16     all big-endian
//! ```
//!
//! Hexadecimal numbers, which the C library reads, are not read here.

use super::{narrow, widen};

/// Dimensions that a vector has at most.
pub const DIMENSIONS: usize = 16_000;

/// Which of pgvector's types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `vector`: floats.
    Single,
    /// `halfvec`: half floats.
    Half,
}

impl Kind {
    /// The name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "vector",
            Self::Half => "halfvec",
        }
    }

    /// The element as the type keeps it.
    pub fn rounded(self, element: f32) -> f32 {
        match self {
            Self::Single => element,
            Self::Half => widen(narrow(element)),
        }
    }
}

/// Why text or bytes are no vector of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    pub kind: Kind,
    pub cause: Cause,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Text that is no list of numbers in brackets; `detail` says more where pgvector does.
    Syntax {
        text: String,
        detail: Option<&'static str>,
    },
    /// A number past the range of an element, as it was written.
    Range {
        number: String,
    },
    NotANumber,
    Infinite,
    /// No elements.
    Empty,
    /// More than `DIMENSIONS`.
    TooMany,
    /// Another number of elements than the column has.
    Expected {
        expected: usize,
        found: usize,
    },
    /// Bytes of another length than they say, or not zero where they must be.
    Bytes,
}

impl TextError {
    /// The code that pgvector raises.
    pub fn sqlstate(&self) -> &'static str {
        match self.cause {
            Cause::Syntax { .. } => "22P02",
            Cause::Range { .. } => "22003",
            Cause::TooMany => "54000",
            Cause::Bytes => "22P03",
            Cause::NotANumber | Cause::Infinite | Cause::Empty | Cause::Expected { .. } => "22000",
        }
    }

    /// The DETAIL line.
    pub fn detail(&self) -> Option<&'static str> {
        match self.cause {
            Cause::Syntax { detail, .. } => detail,
            _ => None,
        }
    }
}

impl std::fmt::Display for TextError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.kind.name();
        match &self.cause {
            Cause::Syntax { text, .. } => {
                write!(f, "invalid input syntax for type {name}: \"{text}\"")
            }
            Cause::Range { number } => write!(f, "\"{number}\" is out of range for type {name}"),
            Cause::NotANumber => write!(f, "NaN not allowed in {name}"),
            Cause::Infinite => write!(f, "infinite value not allowed in {name}"),
            Cause::Empty => write!(f, "{name} must have at least 1 dimension"),
            Cause::TooMany => write!(f, "{name} cannot have more than {DIMENSIONS} dimensions"),
            Cause::Expected { expected, found } => {
                write!(f, "expected {expected} dimensions, not {found}")
            }
            Cause::Bytes => write!(f, "invalid binary representation of a {name}"),
        }
    }
}

impl std::error::Error for TextError {}

/// Reads a vector from text; `expected` is the dimension of the column, where it has one. Elements
/// of a `halfvec` come as floats that are half floats: `narrow` loses nothing.
///
/// # Errors
/// Each `Cause` but `Bytes`.
pub fn parse(kind: Kind, text: &str, expected: Option<usize>) -> Result<Vec<f32>, TextError> {
    let error = |cause| TextError { kind, cause };
    let wrong = |detail| error(Cause::Syntax { text: text.to_owned(), detail });
    let start = text.trim_start_matches(is_space);
    let Some(inside) = start.strip_prefix('[') else {
        return Err(wrong(Some("Vector contents must start with \"[\".")));
    };
    let mut rest = inside.trim_start_matches(is_space);
    if rest.starts_with(']') {
        return Err(error(Cause::Empty));
    }
    let mut elements = Vec::new();
    loop {
        if elements.len() == DIMENSIONS {
            return Err(error(Cause::TooMany));
        }
        rest = rest.trim_start_matches(is_space);
        let number = &rest[..number_length(rest)];
        let element: f32 = number.parse().map_err(|_| wrong(None))?;
        let element = kind.rounded(element);
        let written = number.trim_start_matches(['+', '-']);
        if element.is_infinite() && written.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return Err(error(Cause::Range { number: number.to_owned() }));
        }
        elements.push(allowed(element).map_err(error)?);
        rest = rest[number.len()..].trim_start_matches(is_space);
        if let Some(next) = rest.strip_prefix(',') {
            rest = next;
        } else if let Some(after) = rest.strip_prefix(']') {
            if !after.trim_start_matches(is_space).is_empty() {
                return Err(wrong(Some("Junk after closing right brace.")));
            }
            break;
        } else {
            return Err(wrong(None));
        }
    }
    dimension(elements.len(), expected).map_err(error)?;
    Ok(elements)
}

/// White space of the C locale.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// Bytes of the number at the beginning: a sign, then digits with a point and an exponent, or a
/// word for infinity or NaN in any case. Zero for none.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    for word in ["infinity", "inf", "nan"] {
        let end = sign + word.len();
        if bytes.get(sign..end).is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes())) {
            return end;
        }
    }
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or(&[]);
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let whole = digits(sign);
    let mut end = sign + whole;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if whole + fraction == 0 {
            return 0;
        }
        end += 1 + fraction;
    } else if whole == 0 {
        return 0;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        // An `e` without a number after it is not part of this one.
        end += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    end
}

fn allowed(element: f32) -> Result<f32, Cause> {
    if element.is_nan() {
        Err(Cause::NotANumber)
    } else if element.is_infinite() {
        Err(Cause::Infinite)
    } else {
        Ok(element)
    }
}

fn dimension(found: usize, expected: Option<usize>) -> Result<(), Cause> {
    match expected {
        _ if found == 0 => Err(Cause::Empty),
        _ if found > DIMENSIONS => Err(Cause::TooMany),
        Some(expected) if expected != found => Err(Cause::Expected { expected, found }),
        _ => Ok(()),
    }
}

/// What a cast from an array of floats checks: its dimension, and that all elements are finite and,
/// for `halfvec`, in its range.
///
/// # Errors
/// `Empty`, `TooMany`, `Expected`, `NotANumber`, `Infinite`, `Range`.
pub fn check(kind: Kind, elements: &[f32], expected: Option<usize>) -> Result<(), TextError> {
    let checked = dimension(elements.len(), expected).and_then(|()| {
        elements.iter().try_for_each(|element| {
            allowed(*element)?;
            match kind.rounded(*element).is_finite() {
                true => Ok(()),
                false => {
                    let mut number = String::new();
                    write_float(*element, &mut number);
                    Err(Cause::Range { number })
                }
            }
        })
    });
    checked.map_err(|cause| TextError { kind, cause })
}

/// Writes a vector as text; of a `halfvec`, its elements as floats.
pub fn format(elements: &[f32]) -> String {
    let mut out = String::with_capacity(elements.len() * 10 + 2);
    out.push('[');
    for (i, element) in elements.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_float(*element, &mut out);
    }
    out.push(']');
    out
}

/// A float as PostgreSQL writes float4: the fewest digits that come back, with an exponent of two
/// digits below 1e-4 and from 1e6 on.
fn write_float(x: f32, out: &mut String) {
    let scientific = format!("{x:e}");
    let (Some((digits, exponent)), true) = (scientific.split_once('e'), x.is_finite()) else {
        return out.push_str(if x.is_nan() { "NaN" } else { &scientific });
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        // Display never uses an exponent, and gives the fewest digits too.
        return out.push_str(&x.to_string());
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    out.push_str(&format!("{digits}e{sign}{:02}", exponent.abs()));
}

/// Reads a vector from the bytes of the binary protocol.
///
/// # Errors
/// `Bytes`, and as `check`.
pub fn from_bytes(
    kind: Kind,
    bytes: &[u8],
    expected: Option<usize>,
) -> Result<Vec<f32>, TextError> {
    let wrong = TextError { kind, cause: Cause::Bytes };
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Err(wrong) };
    let found = i16::from_be_bytes([head[0], head[1]]);
    let (elements, rest): (Vec<f32>, &[u8]) = match kind {
        Kind::Single => {
            let (elements, rest) = rest.as_chunks::<4>();
            (elements.iter().map(|bytes| f32::from_be_bytes(*bytes)).collect(), rest)
        }
        Kind::Half => {
            let (elements, rest) = rest.as_chunks::<2>();
            (elements.iter().map(|bytes| widen(u16::from_be_bytes(*bytes))).collect(), rest)
        }
    };
    if head[2..] != [0, 0] || usize::try_from(found) != Ok(elements.len()) || !rest.is_empty() {
        return Err(wrong);
    }
    check(kind, &elements, expected)?;
    Ok(elements)
}

/// The bytes of the binary protocol.
///
/// # Errors
/// `Empty` and `TooMany`: such a vector cannot be told.
pub fn to_bytes(kind: Kind, elements: &[f32]) -> Result<Vec<u8>, TextError> {
    let error = |cause| TextError { kind, cause };
    dimension(elements.len(), None).map_err(error)?;
    let count = i16::try_from(elements.len()).map_err(|_| error(Cause::TooMany))?;
    let mut out = Vec::with_capacity(4 + elements.len() * 4);
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    for element in elements {
        match kind {
            Kind::Single => out.extend_from_slice(&element.to_be_bytes()),
            Kind::Half => out.extend_from_slice(&narrow(*element).to_be_bytes()),
        }
    }
    Ok(out)
}
