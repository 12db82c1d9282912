//! Functions of bytea: `encode`, `decode`, `convert_from`, `convert_to`, `get_byte`, `set_byte`,
//! `bit_count`. NULL gives NULL.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion::arrow::array::{
    ArrayRef, AsArray, BinaryArray, Int32Array, Int64Array, StringArray,
};
use datafusion::arrow::datatypes::{DataType, Int32Type};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarUDF, Signature, SimpleScalarUDF, TypeSignature, Volatility,
};

use crate::error::Error;

/// Characters of a line of base64.
const LINE: usize = 76;

pub(super) fn functions() -> Vec<ScalarUDF> {
    let (bytes, text, int) = (DataType::Binary, DataType::Utf8, DataType::Int32);
    vec![
        function("encode", &[&bytes, &text], &text, |a| {
            let texts = pairs(a).map(|pair| pair.map(|(b, format)| encoded(b, format)).transpose());
            Ok(Arc::new(texts.collect::<Result<StringArray, Error>>()?))
        }),
        function("decode", &[&text, &text], &bytes, |a| {
            let (texts, formats) = (a[0].as_string::<i32>(), a[1].as_string::<i32>());
            let bytes = texts.iter().zip(formats).map(|pair| match pair {
                (Some(text), Some(format)) => decoded(text, format).map(Some),
                _ => Ok(None),
            });
            let bytes = bytes.collect::<Result<Vec<Option<Vec<u8>>>, Error>>()?;
            Ok(Arc::new(BinaryArray::from_iter(bytes)))
        }),
        function("convert_from", &[&bytes, &text], &text, |a| {
            let texts = pairs(a).map(|pair| {
                let Some((bytes, name)) = pair else { return Ok(None) };
                check_encoding(name)?;
                let wrong = |_| Error::new("22021", "invalid byte sequence for encoding \"UTF8\"");
                String::from_utf8(bytes.to_vec()).map(Some).map_err(wrong)
            });
            Ok(Arc::new(texts.collect::<Result<StringArray, Error>>()?))
        }),
        function("convert_to", &[&text, &text], &bytes, |a| {
            let (texts, names) = (a[0].as_string::<i32>(), a[1].as_string::<i32>());
            let bytes = texts.iter().zip(names).map(|pair| match pair {
                (Some(text), Some(name)) => check_encoding(name).map(|()| Some(text.as_bytes())),
                _ => Ok(None),
            });
            let bytes = bytes.collect::<Result<Vec<Option<&[u8]>>, Error>>()?;
            Ok(Arc::new(BinaryArray::from_iter(bytes)))
        }),
        function("get_byte", &[&bytes, &int], &int, |a| {
            let places = a[1].as_primitive::<Int32Type>();
            let found = a[0].as_binary::<i32>().iter().zip(places).map(|pair| match pair {
                (Some(bytes), Some(at)) => Ok(Some(i32::from(bytes[place(bytes, at)?]))),
                _ => Ok(None),
            });
            Ok(Arc::new(found.collect::<Result<Int32Array, Error>>()?))
        }),
        function("set_byte", &[&bytes, &int, &int], &bytes, |a| {
            let places = a[1].as_primitive::<Int32Type>();
            let values = a[2].as_primitive::<Int32Type>();
            let rows = a[0].as_binary::<i32>().iter().zip(places).zip(values);
            let changed = rows.map(|row| match row {
                ((Some(bytes), Some(at)), Some(value)) => {
                    let mut changed = bytes.to_vec();
                    // The low eight bits, as in Postgres.
                    changed[place(bytes, at)?] = value as u8;
                    Ok(Some(changed))
                }
                _ => Ok(None),
            });
            let changed = changed.collect::<Result<Vec<Option<Vec<u8>>>, Error>>()?;
            Ok(Arc::new(BinaryArray::from_iter(changed)))
        }),
        function("bit_count", &[&bytes], &DataType::Int64, |a| {
            let count = |bytes: &[u8]| bytes.iter().map(|byte| i64::from(byte.count_ones())).sum();
            let counts = a[0].as_binary::<i32>().iter().map(|bytes| bytes.map(count));
            Ok(Arc::new(counts.collect::<Int64Array>()))
        }),
    ]
}

fn function(
    name: &str,
    arguments: &[&DataType],
    to: &DataType,
    all: fn(&[ArrayRef]) -> Result<ArrayRef, Error>,
) -> ScalarUDF {
    let forms = [DataType::Binary, DataType::Utf8].map(|bytes| {
        let of =
            |of: &&DataType| if **of == DataType::Binary { bytes.clone() } else { (*of).clone() };
        TypeSignature::Exact(arguments.iter().map(of).collect())
    });
    let wanted: Vec<DataType> = arguments.iter().map(|of| (*of).clone()).collect();
    let invoke = move |arguments: &[ColumnarValue]| -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        // A literal in quotes is read as bytea.
        let read = arrays.into_iter().zip(&wanted).map(|(array, to)| match array.data_type() {
            of if of == to => Ok(array),
            _ => crate::plan::read_texts(&array, to),
        });
        Ok(ColumnarValue::Array(all(&read.collect::<Result<Vec<_>, Error>>()?)?))
    };
    let signature = Signature::one_of(forms.to_vec(), Volatility::Immutable);
    let function = Arc::new(invoke);
    ScalarUDF::from(SimpleScalarUDF::new_with_signature(name, signature, to.clone(), function))
}

/// Bytes and the text beside them; None: one is NULL.
fn pairs(arrays: &[ArrayRef]) -> impl Iterator<Item = Option<(&[u8], &str)>> {
    let texts = arrays[1].as_string::<i32>();
    arrays[0].as_binary::<i32>().iter().zip(texts).map(|(bytes, text)| Some((bytes?, text?)))
}

fn place(bytes: &[u8], at: i32) -> Result<usize, Error> {
    let valid = usize::try_from(at).ok().filter(|at| *at < bytes.len());
    valid.ok_or_else(|| {
        let last = bytes.len() as i64 - 1;
        Error::new("2202E", format!("index {at} out of valid range, 0..{last}"))
    })
}

fn check_encoding(name: &str) -> Result<(), Error> {
    match name.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
        "utf8" | "unicode" => Ok(()),
        _ => {
            Err(Error::unsupported(format!("encoding \"{name}\"")).with_hint("Text is UTF8 here."))
        }
    }
}

fn unknown(format: &str) -> Error {
    Error::new("22023", format!("unrecognized encoding: \"{format}\""))
}

fn encoded(bytes: &[u8], format: &str) -> Result<String, Error> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        "base64" => {
            let text = STANDARD.encode(bytes);
            let lines: Vec<&str> = (0..text.len())
                .step_by(LINE)
                .map(|at| &text[at..(at + LINE).min(text.len())])
                .collect();
            Ok(lines.join("\n"))
        }
        "escape" => {
            let mut text = String::with_capacity(bytes.len());
            for byte in bytes {
                match byte {
                    b'\\' => text.push_str("\\\\"),
                    0 | 128.. => text.push_str(&format!("\\{byte:03o}")),
                    byte => text.push(char::from(*byte)),
                }
            }
            Ok(text)
        }
        _ => Err(unknown(format)),
    }
}

fn decoded(text: &str, format: &str) -> Result<Vec<u8>, Error> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => {
            let digit = |c: char| {
                let wrong = || Error::new("22023", format!("invalid hexadecimal digit: \"{c}\""));
                c.to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or_else(wrong)
            };
            let digits = text.chars().filter(|c| !c.is_ascii_whitespace()).map(digit);
            let digits = digits.collect::<Result<Vec<u8>, Error>>()?;
            match digits.chunks_exact(2) {
                pairs if pairs.remainder().is_empty() => {
                    Ok(pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
                }
                _ => Err(Error::new("22023", "invalid hexadecimal data: odd number of digits")),
            }
        }
        "base64" => {
            let plain: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            let wrong = |_| Error::new("22023", "invalid base64 end sequence");
            STANDARD.decode(plain).map_err(wrong)
        }
        "escape" => unescaped(text),
        _ => Err(unknown(format)),
    }
}

/// Text in which `\\` is a backslash and `\ooo` a byte in octal.
fn unescaped(text: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                tail
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                tail
            }
            (b'\\', _) => return Err(Error::new("22P02", "invalid input syntax for type bytea")),
            (byte, tail) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: select encode('…', '…'), decode('…', '…').
    #[test]
    fn forms_of_bytes() {
        assert_eq!(encoded(b"\x00\xffA\\", "escape").unwrap(), "\\000\\377A\\\\");
        assert_eq!(decoded("a\\000b", "escape").unwrap(), b"a\x00b");
        assert_eq!(decoded(" 61 62", "HEX").unwrap(), b"ab");
        let long = encoded(&[0; 60], "base64").unwrap();
        assert_eq!(long.find('\n'), Some(76));
        assert_eq!(decoded(&long, "base64").unwrap(), [0; 60]);
        assert!(decoded("616", "hex").is_err());
        assert!(decoded("zz", "hex").is_err());
        assert!(encoded(b"", "nope").is_err());
    }
}
