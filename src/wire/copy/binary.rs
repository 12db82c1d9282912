//! COPY's binary form: a signature, rows of sized cells, an end mark of -1.
//!
//! ```text
//!   PGCOPY\n\xff\r\n\0  flags(4)  length(4) extension   [count(2)  [length(4) bytes]…]…   -1(2)
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use super::columns::{Builder, Column};
use super::lines::{Newline, Piece};
use super::reader::{Failure, Read, Wrong};
use crate::Error;
use crate::wire::calendar::{EPOCH_DAYS, EPOCH_US};

/// What a file starts with.
pub const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags and length of the extension.
const HEADER_BYTES: usize = SIGNATURE.len() + 8;

/// Rows cut from messages that end anywhere.
#[derive(Default)]
pub struct Tuples {
    buffer: BytesMut,
    /// The header has been passed.
    started: bool,
    first_cut: bool,
    /// End of the last whole row.
    whole: usize,
    /// What follows `whole` cannot be a row: reading it will say why.
    broken: bool,
}

enum Step {
    Row(usize),
    More,
    Broken,
}

impl Tuples {
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
        while !self.broken {
            let from = self.whole;
            let step = match self.started {
                true => row_end(&self.buffer[from..]),
                false => header_end(&self.buffer),
            };
            match step {
                Step::Row(length) => self.whole += length,
                Step::More => break,
                Step::Broken => self.broken = true,
            }
            self.started = true;
        }
        if self.broken {
            return self.finish();
        }
        (self.whole >= least.max(1)).then(|| self.cut(self.whole))
    }

    /// All that is left, a half row too; of no data at all, that.
    pub fn finish(&mut self) -> Option<Piece> {
        (!self.buffer.is_empty() || !self.first_cut).then(|| self.cut(self.buffer.len()))
    }

    fn cut(&mut self, at: usize) -> Piece {
        let first = !std::mem::replace(&mut self.first_cut, true);
        self.whole = 0;
        Piece { bytes: self.buffer.split_to(at).freeze(), first, newline: Newline::Lf }
    }
}

fn header_end(bytes: &[u8]) -> Step {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Step::Broken;
    }
    match bytes.get(HEADER_BYTES - 4..HEADER_BYTES).map(|length| fixed::<4>(length)) {
        Some(Ok(length)) => match usize::try_from(i32::from_be_bytes(length)) {
            Ok(length) if bytes.len() >= HEADER_BYTES + length => Step::Row(HEADER_BYTES + length),
            Ok(_) => Step::More,
            Err(_) => Step::Broken,
        },
        Some(Err(_)) | None => Step::More,
    }
}

fn row_end(bytes: &[u8]) -> Step {
    let Some((count, _)) = bytes.split_first_chunk::<2>() else { return Step::More };
    let count = i16::from_be_bytes(*count);
    if count < 0 {
        return if count == -1 { Step::Row(2) } else { Step::Broken };
    }
    let mut at = 2;
    for _ in 0..count {
        let Some(length) = bytes.get(at..at + 4).and_then(|length| fixed::<4>(length).ok()) else {
            return Step::More;
        };
        at += 4;
        match i32::from_be_bytes(length) {
            -1 => {}
            length if length < -1 => return Step::Broken,
            length => at += length as usize,
        }
        if at > bytes.len() {
            return Step::More;
        }
    }
    Step::Row(at)
}

/// Reads the rows of a piece.
pub fn read(piece: &Piece, columns: &[Column], out: &mut [Builder], rows: &mut Read) -> Failure {
    let mut rest = piece.bytes.clone();
    if piece.first {
        header(&mut rest).map_err(Wrong::whole)?;
    }
    while !rest.is_empty() {
        if rows.ended {
            return Err(Wrong::line(after_end(), None));
        }
        rows.begin(rows.lines + 1);
        let count = i16::from_be_bytes(take(&mut rest).map_err(in_line)?);
        if count == -1 {
            rows.ended = true;
            continue;
        }
        if usize::try_from(count).ok() != Some(columns.len()) {
            let expected = columns.len();
            let message = format!("row field count is {count}, expected {expected}");
            return Err(in_line(Error::new("22P04", message)));
        }
        for (index, builder) in out.iter_mut().enumerate() {
            let length = i32::from_be_bytes(take(&mut rest).map_err(in_line)?);
            let done = match usize::try_from(length) {
                Ok(length) if length <= rest.len() => builder.binary(&rest.split_to(length)),
                Ok(_) => Err(ended_early()),
                Err(_) if length == -1 => {
                    builder.null();
                    Ok(())
                }
                Err(_) => Err(Error::new("22P04", "invalid field size")),
            };
            done.map_err(|error| Wrong::cell(index, None, error))?;
        }
        rows.end();
    }
    Ok(())
}

fn in_line(error: Error) -> Wrong {
    Wrong::line(error, None)
}

/// Rows after the end mark.
pub fn after_end() -> Error {
    Error::new("22P04", "received copy data after EOF marker")
}

fn header(rest: &mut Bytes) -> Result<(), Error> {
    if !rest.starts_with(SIGNATURE) {
        return Err(Error::new("22P04", "COPY file signature not recognized"));
    }
    let missing = |what: &str| Error::new("22P04", format!("invalid COPY file header ({what})"));
    let _ = rest.split_to(SIGNATURE.len());
    let flags = u32::from_be_bytes(take(rest).map_err(|_| missing("missing flags"))?);
    if flags & (1 << 16) != 0 {
        return Err(missing("WITH OIDS"));
    }
    if flags >> 16 != 0 {
        return Err(Error::new("22P04", "unrecognized critical flags in COPY file header"));
    }
    let length = i32::from_be_bytes(take(rest).map_err(|_| missing("missing length"))?);
    match usize::try_from(length) {
        Ok(length) if length <= rest.len() => {
            let _ = rest.split_to(length);
            Ok(())
        }
        Ok(_) | Err(_) => Err(missing("wrong length")),
    }
}

fn take<const N: usize>(rest: &mut Bytes) -> Result<[u8; N], Error> {
    if rest.len() < N {
        return Err(ended_early());
    }
    fixed(&rest.split_to(N))
}

fn ended_early() -> Error {
    Error::new("22P04", "unexpected EOF in COPY data")
}

/// A cell of a fixed size.
pub fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| match bytes.len() < N {
        true => Error::new("08P01", "insufficient data left in message"),
        false => Error::new("22P03", "incorrect binary data format"),
    })
}

/// Days since 1970 of days since 2000; the ends are the infinities.
pub fn date(days: i32) -> Result<i32, Error> {
    match days {
        i32::MAX => Ok(i32::MAX),
        i32::MIN => Ok(-i32::MAX),
        days => {
            days.checked_add(EPOCH_DAYS).ok_or_else(|| Error::new("22008", "date out of range"))
        }
    }
}

/// See `date`.
pub fn timestamp(us: i64) -> Result<i64, Error> {
    match us {
        i64::MAX => Ok(i64::MAX),
        i64::MIN => Ok(-i64::MAX),
        us => us.checked_add(EPOCH_US).ok_or_else(|| Error::new("22008", "timestamp out of range")),
    }
}

/// A numeric that needs no rounding, as an unscaled number; None: the long way.
pub fn decimal(bytes: &[u8], precision: u8, scale: i8) -> Option<i128> {
    let (head, groups) = bytes.split_first_chunk::<8>()?;
    let half = |at: usize| i16::from_be_bytes([head[at], head[at + 1]]);
    let (count, weight, sign) = (half(0), i32::from(half(2)), half(4));
    let scale = i32::from(scale);
    if groups.len() != usize::try_from(count).ok()? * 2 || !matches!(sign, 0 | 0x4000) {
        return None;
    }
    let mut value = 0_i128;
    let mut exponent = (weight + 1) * 4 + scale;
    for group in groups.chunks_exact(2) {
        let group = i128::from(u16::from_be_bytes([group[0], group[1]]));
        exponent -= 4;
        let term = match u32::try_from(exponent) {
            Ok(power) => group.checked_mul(10_i128.checked_pow(power)?)?,
            Err(_) => {
                let divisor = 10_i128.checked_pow(exponent.unsigned_abs())?;
                (group % divisor == 0).then_some(group / divisor)?
            }
        };
        value = value.checked_add(term)?;
    }
    let fits = value < 10_i128.checked_pow(u32::from(precision))?;
    fits.then_some(if sign == 0 { value } else { -value })
}

/// What goes before the first row.
pub fn write_header(out: &mut BytesMut) {
    out.put_slice(SIGNATURE);
    out.put_u64(0);
}

/// What goes after the last row.
pub fn write_end(out: &mut BytesMut) {
    out.put_i16(-1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::number;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_are_cut_whole(cells in prop::collection::vec(
            prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..5)), 0..4),
            0..5,
        ), size in 1_usize..9) {
            let mut data = BytesMut::new();
            write_header(&mut data);
            let mut ends = vec![data.len()];
            for row in &cells {
                data.put_i16(row.len() as i16);
                for cell in row {
                    data.put_i32(cell.as_ref().map_or(-1, |cell| cell.len() as i32));
                    data.put_slice(cell.as_deref().unwrap_or_default());
                }
                ends.push(data.len());
            }
            let mut tuples = Tuples::default();
            let (mut at, mut found) = (0, vec![]);
            for part in data.chunks(size) {
                tuples.push(part);
                if let Some(piece) = tuples.take(1) {
                    at += piece.bytes.len();
                    prop_assert!(ends.contains(&at));
                    found.extend_from_slice(&piece.bytes);
                }
            }
            prop_assert!(tuples.finish().is_none());
            prop_assert_eq!(&found[..], &data[..]);
        }

        #[test]
        fn decimals_read_back(value in -10_i128.pow(30)..10_i128.pow(30), scale in 0_i8..9) {
            let mut out = BytesMut::new();
            number::decimal_binary(&mut out, &value.to_string(), scale);
            prop_assert_eq!(decimal(&out, 38, scale), Some(value));
        }

        #[test]
        fn any_bytes_are_cut_or_broken(data: Vec<u8>) {
            let _ = decimal(&data, 38, 9);
            let mut tuples = Tuples::default();
            tuples.push(SIGNATURE);
            tuples.push(&data);
            let _ = (tuples.take(1), tuples.finish());
        }
    }
}
