//! Lines of COPY's text and CSV, cut from messages that end anywhere.
//!
//! ```text
//!   text   a newline ends a row unless an odd number of backslashes is before it
//!   CSV    a newline ends a row outside of quotes
//! ```
//! The first row's end says what ends the others. Rows are only cut apart here, many at a time;
//! what is in them is read elsewhere, several pieces at once.

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr3_iter, memrchr};

/// What ends a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newline {
    Lf,
    CrLf,
    Cr,
}

impl Newline {
    /// The last byte of a row's end.
    pub fn last(self) -> u8 {
        if self == Self::Cr { b'\r' } else { b'\n' }
    }
}

/// Whole rows.
#[derive(Debug, Clone)]
pub struct Piece {
    pub bytes: Bytes,
    /// The beginning of all.
    pub first: bool,
    pub newline: Newline,
}

/// See the module.
pub struct Lines {
    buffer: BytesMut,
    first: bool,
    newline: Option<Newline>,
    looked: First,
    /// CSV's quote and escape.
    quotes: Option<(u8, u8)>,
    /// How far it has been looked through for ends of rows, and whether that is inside of quotes.
    seen: usize,
    quoted: bool,
    /// An escape that is not a quote came last.
    escaped: bool,
    /// End of the last whole row.
    whole: usize,
}

impl Lines {
    /// Of text, or of CSV with its quote and escape.
    pub fn new(quotes: Option<(u8, u8)>) -> Self {
        Self {
            buffer: BytesMut::new(),
            first: true,
            newline: None,
            looked: First::default(),
            quotes,
            seen: 0,
            quoted: false,
            escaped: false,
            whole: 0,
        }
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Takes bytes, whatever they end with.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The whole rows, if they are `least` bytes or more.
    pub fn take(&mut self, least: usize) -> Option<Piece> {
        if self.buffer.len() < least {
            return None;
        }
        match self.quotes {
            Some((quote, escape)) => self.look_csv(quote, escape),
            None => self.look_text(),
        }
        (self.whole >= least.max(1)).then(|| self.cut(self.whole))
    }

    /// All that is left, the last row needs no newline; of no data at all, that.
    pub fn finish(&mut self) -> Option<Piece> {
        (!self.buffer.is_empty() || self.first).then(|| self.cut(self.buffer.len()))
    }

    fn cut(&mut self, at: usize) -> Piece {
        let first = std::mem::replace(&mut self.first, false);
        let newline = match self.newline {
            Some(newline) => newline,
            None => self.find_newline(true).unwrap_or(Newline::Lf),
        };
        self.seen = self.seen.saturating_sub(at);
        self.whole = 0;
        Piece { bytes: self.buffer.split_to(at).freeze(), first, newline }
    }

    fn look_text(&mut self) {
        if self.newline.is_none() {
            self.newline = self.find_newline(false);
        }
        let Some(newline) = self.newline else { return };
        let (from, mut end) = (self.seen, self.buffer.len());
        self.seen = end;
        while let Some(at) = memrchr(newline.last(), &self.buffer[from..end]) {
            let at = from + at;
            if !is_escaped(&self.buffer[..at]) {
                self.whole = at + 1;
                return;
            }
            end = at;
        }
    }

    fn look_csv(&mut self, quote: u8, escape: u8) {
        if self.newline.is_none() {
            self.newline = self.find_newline(false);
        }
        let Some(newline) = self.newline else { return };
        let mut skip = None;
        for at in memchr3_iter(quote, escape, newline.last(), &self.buffer[self.seen..]) {
            let at = self.seen + at;
            let byte = self.buffer[at];
            // An escape counts for the byte right after it.
            let escaped = skip == Some(at) || (self.escaped && at == self.seen);
            if byte == escape && escape != quote && self.quoted && !escaped {
                skip = Some(at + 1);
            } else if byte == quote && !escaped {
                self.quoted = !self.quoted;
            } else if byte == newline.last() && !self.quoted {
                self.whole = at + 1;
            }
        }
        self.escaped = skip == Some(self.buffer.len());
        self.seen = self.buffer.len();
    }

    /// What ends the first row, looked for where the last look ended; `ended`: no more will come.
    fn find_newline(&mut self, ended: bool) -> Option<Newline> {
        let First { mut at, mut quoted, mut escaped } = self.looked;
        while let Some(byte) = self.buffer.get(at).copied() {
            let was = std::mem::take(&mut escaped);
            match (byte, self.quotes) {
                (byte, Some((quote, escape))) if byte == escape && escape != quote => {
                    escaped = quoted && !was;
                }
                (byte, Some((quote, _))) if byte == quote && !was => quoted = !quoted,
                (b'\\', None) => escaped = !was,
                (b'\n', _) if !quoted && !was => return Some(Newline::Lf),
                (b'\r', _) if !quoted && !was => match self.buffer.get(at + 1) {
                    Some(b'\n') => return Some(Newline::CrLf),
                    Some(_) => return Some(Newline::Cr),
                    None if ended => return Some(Newline::Cr),
                    None => break,
                },
                _ => {}
            }
            at += 1;
        }
        self.looked = First { at, quoted, escaped };
        None
    }
}

/// How far the end of the first row has been looked for, and in what state.
#[derive(Debug, Clone, Copy, Default)]
struct First {
    at: usize,
    quoted: bool,
    escaped: bool,
}

/// Whether an odd number of backslashes is at the end.
pub fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The rows of a piece of text, without their ends, and whether they have one.
pub fn text_rows(bytes: &[u8], newline: Newline) -> impl Iterator<Item = (&[u8], bool)> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut from = 0;
        let end = loop {
            match memchr(newline.last(), &rest[from..]) {
                Some(at) if is_escaped(&rest[..from + at]) => from += at + 1,
                Some(at) => break Some(from + at),
                None => break None,
            }
        };
        let row = &rest[..end.unwrap_or(rest.len())];
        rest = end.map_or(&[], |end| &rest[end + 1..]);
        Some((row, end.is_some()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The data in pieces, whatever sizes it arrives in.
    fn pieces(data: &[u8], sizes: &[usize], quotes: Option<(u8, u8)>) -> Vec<Vec<u8>> {
        let mut lines = Lines::new(quotes);
        let (mut found, mut at) = (vec![], 0);
        for size in sizes.iter().cycle() {
            if at == data.len() {
                break;
            }
            let end = data.len().min(at + size.max(&1));
            lines.push(&data[at..end]);
            found.extend(lines.take(1).map(|piece| piece.bytes.to_vec()));
            at = end;
        }
        found.extend(lines.finish().map(|piece| piece.bytes.to_vec()));
        found
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_rows_stay_whole(
            data in "[a\\\\\"'\r\n,]{0,40}", sizes in prop::collection::vec(1_usize..7, 1..4),
        ) {
            for quotes in [None, Some((b'"', b'"')), Some((b'"', b'\\'))] {
                let found = pieces(data.as_bytes(), &sizes, quotes);
                prop_assert_eq!(found.concat(), data.as_bytes());
                let whole = pieces(data.as_bytes(), &[1_000], quotes).concat();
                prop_assert_eq!(found.concat(), whole);
            }
        }
    }

    #[test]
    fn rows_end_where_they_should() {
        let found = pieces(b"a\\\nb\nc\n", &[1], None);
        assert_eq!(found, [b"a\\\nb\n".to_vec(), b"c\n".to_vec()]);
        let found = pieces(b"\"a\nb\",1\n2,3\n", &[1], Some((b'"', b'"')));
        assert_eq!(found, [b"\"a\nb\",1\n".to_vec(), b"2,3\n".to_vec()]);
        let found = pieces(b"\"a\\\"\nb\"\n2\n", &[2], Some((b'"', b'\\')));
        assert_eq!(found, [b"\"a\\\"\nb\"\n".to_vec(), b"2\n".to_vec()]);
        let rows: Vec<_> = text_rows(b"a\\\nb\n\nc", Newline::Lf).collect();
        assert_eq!(rows, [(&b"a\\\nb"[..], true), (b"", true), (b"c", false)]);
    }
}
