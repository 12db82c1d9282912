//! COPY's CSV: cells between delimiters, quoted where they would be misread; NULL is a bare text.
//!
//! A quoted cell is never NULL, unless FORCE_NULL says so; quotes may begin and end anywhere in a
//! cell, as in Postgres. A line of `\.` ends the data.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use memchr::{memchr2, memchr3};
use sql::copy::{Columns, Header, Options};

use super::columns::Builder;
use super::lines::{Newline, Piece};
use super::reader::{Failure, Read, RowReader, Wrong};
use super::text::{END, extra, missing, no_header};
use super::{check_header, checked};
use crate::Error;

/// Reads the rows of a piece.
pub fn read(piece: &Piece, by: &RowReader, out: &mut [Builder], read: &mut Read) -> Failure {
    let options = &by.options;
    let forced: Vec<Forced> = by.columns.iter().map(|c| Forced::of(options, &c.field)).collect();
    let mut header = piece.first && options.header != Header::None;
    let mut rest: &[u8] = &piece.bytes;
    while !rest.is_empty() {
        read.begin(read.lines + 1);
        let before = rest.len();
        let row = row(&mut rest, options, piece.newline)?;
        if row == END && before - rest.len() > END.len() {
            read.ended = true;
            return Ok(());
        }
        let text = checked(row)?;
        if std::mem::take(&mut header) {
            if options.header == Header::Match {
                let names = cells(text, options).map(|cell| Ok(cell?.name(&options.null)));
                let names = names.collect::<Result<_, _>>();
                let checked = names.and_then(|names| check_header(names, by));
                checked.map_err(|error| Wrong::line(error, Some(row)))?;
            }
        } else {
            line(text, by, &forced, out)?;
            read.end();
        }
        // Newlines inside of quotes are lines too.
        let newlines = row.iter().filter(|byte| **byte == piece.newline.last()).count();
        read.lines += newlines as u64;
    }
    no_header(header, by, read)
}

/// What FORCE_NULL and FORCE_NOT_NULL say of a column.
struct Forced {
    null: bool,
    not_null: bool,
}

impl Forced {
    fn of(options: &Options, field: &datafusion::arrow::datatypes::Field) -> Self {
        let names = |columns: &Columns| match columns {
            Columns::All => true,
            Columns::Named(names) => names.contains(field.name()),
        };
        Self { null: names(&options.force_null), not_null: names(&options.force_not_null) }
    }
}

fn line(text: &str, by: &RowReader, forced: &[Forced], out: &mut [Builder]) -> Failure {
    let null = by.options.null.as_str();
    let mut cells = cells(text, &by.options);
    for (index, (builder, forced)) in out.iter_mut().zip(forced).enumerate() {
        let Some(cell) = cells.next() else {
            return Err(missing(index, by, text));
        };
        let cell = cell.map_err(|error| Wrong::line(error, Some(text.as_bytes())))?;
        let is_null = cell.text == null && if cell.quoted { forced.null } else { !forced.not_null };
        if is_null {
            builder.null();
        } else {
            let value = &*cell.text;
            builder.text(value).map_err(|error| Wrong::cell(index, Some(value), error))?;
        }
    }
    match cells.next() {
        None => Ok(()),
        Some(_) => Err(extra(text)),
    }
}

/// The next row without its end, quotes and all.
fn row<'a>(rest: &mut &'a [u8], options: &Options, newline: Newline) -> Result<&'a [u8], Wrong> {
    let (quote, escape) = (options.quote, options.escape);
    let all = *rest;
    let (mut at, mut quoted) = (0, false);
    let end = loop {
        let found = match quoted {
            true => memchr2(quote, escape, &all[at..]),
            false => memchr3(quote, b'\n', b'\r', &all[at..]),
        };
        let Some(found) = found else { break None };
        let place = at + found;
        at = place + 1;
        match all[place] {
            byte if quoted && byte == escape && escape != quote => at = (at + 1).min(all.len()),
            byte if byte == quote => quoted = !quoted,
            byte => match end_of_row(all, place, byte, newline)? {
                Some(length) => break Some((place, length)),
                None => continue,
            },
        }
    };
    match end {
        Some((end, length)) => {
            *rest = &all[end + length..];
            Ok(&all[..end])
        }
        None if quoted => {
            *rest = &[];
            let error = Error::new("22P04", "unterminated CSV quoted field");
            Err(Wrong::line(error, Some(all)))
        }
        None => {
            *rest = &[];
            Ok(all)
        }
    }
}

/// How many bytes a row's end takes; one of another kind is refused, as in Postgres.
fn end_of_row(
    all: &[u8],
    place: usize,
    byte: u8,
    newline: Newline,
) -> Result<Option<usize>, Wrong> {
    match (byte, newline) {
        (b'\n', Newline::Lf) | (b'\r', Newline::Cr) => Ok(Some(1)),
        (b'\r', Newline::CrLf) if all.get(place + 1) == Some(&b'\n') => Ok(Some(2)),
        (b'\n', Newline::CrLf) if &all[..place] == END => Ok(Some(1)),
        _ => {
            let what = if byte == b'\n' { "newline" } else { "carriage return" };
            let error = Error::new("22P04", format!("unquoted {what} found in data"));
            let hint = format!("Use quoted CSV field to represent {what}.");
            Err(Wrong::line(error.with_hint(hint), None))
        }
    }
}

struct Cell<'a> {
    text: Cow<'a, str>,
    quoted: bool,
}

impl Cell<'_> {
    /// As a column's name.
    fn name(self, null: &str) -> Option<String> {
        (self.quoted || self.text != null).then(|| self.text.into_owned())
    }
}

/// The cells of a row; there is always one.
fn cells<'a>(
    row: &'a str,
    options: &Options,
) -> impl Iterator<Item = Result<Cell<'a>, Error>> + use<'a> {
    let (delimiter, quote, escape) = (options.delimiter, options.quote, options.escape);
    let mut rest = Some(row);
    std::iter::from_fn(move || {
        let all = rest?;
        // Most cells have no quotes at all.
        let end = memchr2(delimiter, quote, all.as_bytes());
        if end.is_none_or(|end| all.as_bytes()[end] == delimiter) {
            rest = end.and_then(|end| all.get(end + 1..));
            let text = Cow::Borrowed(&all[..end.unwrap_or(all.len())]);
            return Some(Ok(Cell { text, quoted: false }));
        }
        match unquoted(all.as_bytes(), delimiter, quote, escape) {
            Ok((text, end)) => {
                rest = end.and_then(|end| all.get(end + 1..));
                // Only ASCII bytes were taken out, so it is UTF-8 still.
                let text = Cow::Owned(String::from_utf8(text).unwrap_or_default());
                Some(Ok(Cell { text, quoted: true }))
            }
            Err(error) => {
                rest = None;
                Some(Err(error))
            }
        }
    })
}

/// A cell with quotes: what it means, and where the delimiter after it is.
fn unquoted(
    all: &[u8],
    delimiter: u8,
    quote: u8,
    escape: u8,
) -> Result<(Vec<u8>, Option<usize>), Error> {
    let mut out = Vec::new();
    let (mut at, mut quoted) = (0, false);
    while let Some(byte) = all.get(at).copied() {
        let next = all.get(at + 1).copied();
        at += 1;
        match (quoted, byte) {
            (false, byte) if byte == delimiter => return Ok((out, Some(at - 1))),
            (false, byte) if byte == quote => quoted = true,
            (true, byte) if byte == escape && next.is_some_and(|n| n == quote || n == escape) => {
                out.extend(next);
                at += 1;
            }
            (true, byte) if byte == quote => quoted = false,
            (_, byte) => out.push(byte),
        }
    }
    match quoted {
        true => Err(Error::new("22P04", "unterminated CSV quoted field")),
        false => Ok((out, None)),
    }
}

/// Quotes what was written from `from` on, if it must be or `always`; `alone`: the only column.
pub fn quote(out: &mut BytesMut, from: usize, options: &Options, always: bool, alone: bool) {
    let text = &out[from..];
    let special = |byte: &u8| {
        *byte == options.delimiter || *byte == options.quote || matches!(byte, b'\n' | b'\r')
    };
    let misread = text == options.null.as_bytes() || (alone && text == END);
    if !always && !misread && !text.iter().any(special) {
        return;
    }
    let plain = out.split_off(from);
    out.reserve(plain.len() + 8);
    out.put_u8(options.quote);
    for byte in plain {
        if byte == options.quote || byte == options.escape {
            out.put_u8(options.escape);
        }
        out.put_u8(byte);
    }
    out.put_u8(options.quote);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn options(words: &str) -> Options {
        let text = format!("copy t to stdout (format csv {words})");
        let parsed = sql::parse::parse(&text).unwrap().remove(0);
        let sql::Parsed::Own(own) = parsed.parsed else { panic!() };
        let sql::Own::Copy(copy) = own.as_ref() else { panic!() };
        Options::of(copy).unwrap()
    }

    fn read_back(data: &[u8], options: &Options) -> Result<Vec<Vec<Option<String>>>, String> {
        let (mut rest, mut rows) = (data, vec![]);
        while !rest.is_empty() {
            let row = row(&mut rest, options, Newline::Lf).map_err(|wrong| format!("{wrong:?}"))?;
            let text = std::str::from_utf8(row).unwrap();
            let mut found = vec![];
            for cell in cells(text, options) {
                let cell = cell.map_err(|error| error.to_string())?;
                let null = !cell.quoted && cell.text == options.null;
                found.push((!null).then(|| cell.text.into_owned()));
            }
            rows.push(found);
        }
        Ok(rows)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            rows in prop::collection::vec(
                prop::collection::vec(prop::option::of("[a-cé\"'\\\\,;\n\r N]{0,5}"), 2..4), 0..4,
            ),
            words in prop::sample::select(vec![
                "", ", delimiter ';'", ", quote ''''", ", escape '\\'", ", null 'N'",
            ]),
        ) {
            let options = options(words);
            let mut out = BytesMut::new();
            for row in &rows {
                for (index, cell) in row.iter().enumerate() {
                    if index > 0 {
                        out.put_u8(options.delimiter);
                    }
                    let from = out.len();
                    match cell {
                        None => out.put_slice(options.null.as_bytes()),
                        Some(text) => {
                            out.put_slice(text.as_bytes());
                            quote(&mut out, from, &options, false, false);
                        }
                    }
                }
                out.put_u8(b'\n');
            }
            prop_assert_eq!(read_back(&out, &options).unwrap(), rows);
        }

        #[test]
        fn any_text_is_rows_or_an_error(data: String) {
            let _ = read_back(data.as_bytes(), &options(""));
        }
    }

    // Expected: PostgreSQL 15, COPY of these lines into text columns.
    #[test]
    fn quotes_may_be_anywhere() {
        let some = |text: &str| Some(text.to_owned());
        let rows = read_back(b"a\"b,c,\"\"\"d\n\n", &options("")).unwrap();
        assert_eq!(rows, [vec![some("ab,c,\"d")], vec![None]]);
        let rows = read_back(b"\"\",x\n", &options("")).unwrap();
        assert_eq!(rows, [vec![some(""), some("x")]]);
        assert!(read_back(b"\"a\n", &options("")).is_err());
    }
}
