//! Messages of the client: framed, bounded and checked byte by byte.
//!
//! pgwire's decoders read past the end of a short body (a panic); these answer 08P01 instead.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::OwnedSemaphorePermit;

use crate::Error;

/// Longest message taken, bytes; Postgres' own limit is 1 GB.
const MESSAGE_LIMIT: usize = 256 << 20;
/// Longest startup packet, bytes, as in Postgres.
const STARTUP_LIMIT: usize = 10_000;

/// A message of the client after startup.
#[derive(Debug)]
pub enum Message {
    Query(String),
    Parse {
        name: String,
        text: String,
        types: Vec<u32>,
    },
    Bind(Bind),
    Describe(Target),
    Execute {
        portal: String,
        most: usize,
    },
    Close(Target),
    Flush,
    Sync,
    Terminate,
    /// The messages of COPY, ignored outside of it.
    CopyData(CopyData),
    CopyDone,
    /// Why the client gives up.
    CopyFail(String),
    /// The retired fastpath call.
    FunctionCall,
}

/// Bytes of COPY, and the room they take while they wait.
#[derive(Debug)]
pub struct CopyData {
    pub bytes: Bytes,
    pub room: Option<OwnedSemaphorePermit>,
}

/// Values and formats for a statement.
#[derive(Debug)]
pub struct Bind {
    pub portal: String,
    pub statement: String,
    pub parameter_formats: Vec<i16>,
    pub parameters: Vec<Option<Bytes>>,
    pub result_formats: Vec<i16>,
}

/// A statement or a portal by name.
#[derive(Debug)]
pub enum Target {
    Statement(String),
    Portal(String),
}

/// The first packet of a connection.
#[derive(Debug)]
pub enum Startup {
    Tls,
    Gss,
    Cancel { pid: i32, secret: i32 },
    Hello { minor: u16, parameters: Vec<(String, String)> },
}

/// Reads a startup packet; None when the client left.
pub async fn read_startup<S: AsyncRead + Unpin>(from: &mut S) -> Result<Option<Startup>, Error> {
    let Ok(length) = from.read_i32().await else {
        return Ok(None);
    };
    let length = usize::try_from(length).unwrap_or(0);
    if !(8..=STARTUP_LIMIT).contains(&length) {
        return Err(protocol("invalid length of startup packet"));
    }
    let mut body = vec![0; length - 4];
    if from.read_exact(&mut body).await.is_err() {
        return Ok(None);
    }
    startup(Bytes::from(body)).map(Some)
}

fn startup(body: Bytes) -> Result<Startup, Error> {
    let mut body = Body(body);
    match body.i32()? {
        80_877_103 => Ok(Startup::Tls),
        80_877_104 => Ok(Startup::Gss),
        80_877_102 => Ok(Startup::Cancel { pid: body.i32()?, secret: body.i32()? }),
        version if version >> 16 == 3 => {
            let mut parameters = vec![];
            loop {
                let name = body.text()?;
                if name.is_empty() {
                    break;
                }
                parameters.push((name, body.text()?));
            }
            Ok(Startup::Hello { minor: (version & 0xffff) as u16, parameters })
        }
        version => {
            let (major, minor) = (version >> 16, version & 0xffff);
            let message =
                format!("unsupported frontend protocol {major}.{minor}: server supports 3.0");
            Err(Error::new("0A000", message))
        }
    }
}

/// Reads one message; None when the client left.
pub async fn read<S: AsyncRead + Unpin>(
    from: &mut S,
    buffer: &mut BytesMut,
) -> Result<Option<Message>, Error> {
    loop {
        if buffer.len() >= 5 {
            let length = i32::from_be_bytes([buffer[1], buffer[2], buffer[3], buffer[4]]);
            let length = usize::try_from(length).unwrap_or(0);
            if !(4..=MESSAGE_LIMIT).contains(&length) {
                return Err(protocol("invalid message length"));
            }
            if buffer.len() > length {
                let mut frame = buffer.split_to(length + 1).freeze();
                let kind = frame.get_u8();
                frame.advance(4);
                return decode(kind, frame).map(Some);
            }
        }
        match from.read_buf(buffer).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
}

fn decode(kind: u8, body: Bytes) -> Result<Message, Error> {
    let mut body = Body(body);
    let message = match kind {
        b'Q' => Message::Query(body.text()?),
        b'P' => {
            let (name, text) = (body.text()?, body.text()?);
            Message::Parse { name, text, types: body.list(|body| Ok(body.i32()? as u32))? }
        }
        b'B' => Message::Bind(Bind {
            portal: body.text()?,
            statement: body.text()?,
            parameter_formats: body.list(Body::i16)?,
            parameters: body.list(Body::value)?,
            result_formats: body.list(Body::i16)?,
        }),
        b'D' => Message::Describe(body.target()?),
        b'C' => Message::Close(body.target()?),
        b'E' => {
            let portal = body.text()?;
            Message::Execute { portal, most: usize::try_from(body.i32()?).unwrap_or(0) }
        }
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'X' => Message::Terminate,
        b'd' => return Ok(Message::CopyData(CopyData { bytes: body.0, room: None })),
        b'c' => return Ok(Message::CopyDone),
        b'f' => Message::CopyFail(body.text()?),
        b'F' => return Ok(Message::FunctionCall),
        other => return Err(protocol(format!("invalid frontend message type {other}"))),
    };
    if body.0.has_remaining() {
        return Err(protocol("invalid message format"));
    }
    Ok(message)
}

struct Body(Bytes);

impl Body {
    fn need(&self, bytes: usize) -> Result<(), Error> {
        if self.0.remaining() < bytes {
            return Err(protocol("insufficient data left in message"));
        }
        Ok(())
    }

    fn i16(&mut self) -> Result<i16, Error> {
        self.need(2)?;
        Ok(self.0.get_i16())
    }

    fn i32(&mut self) -> Result<i32, Error> {
        self.need(4)?;
        Ok(self.0.get_i32())
    }

    fn text(&mut self) -> Result<String, Error> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| protocol("invalid string in message"))?;
        let bytes = self.0.split_to(end);
        self.0.advance(1);
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Error::new("22021", "invalid byte sequence for encoding \"UTF8\""))?;
        Ok(text.to_owned())
    }

    fn value(&mut self) -> Result<Option<Bytes>, Error> {
        match usize::try_from(self.i32()?) {
            Ok(length) => {
                self.need(length)?;
                Ok(Some(self.0.split_to(length)))
            }
            Err(_) => Ok(None),
        }
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let count = self.i16()? as u16;
        (0..count).map(|_| item(self)).collect()
    }

    fn target(&mut self) -> Result<Target, Error> {
        self.need(1)?;
        match self.0.get_u8() {
            b'S' => Ok(Target::Statement(self.text()?)),
            b'P' => Ok(Target::Portal(self.text()?)),
            other => Err(protocol(format!("invalid message subtype {other}"))),
        }
    }
}

/// A breach of the protocol.
pub fn protocol(message: impl Into<String>) -> Error {
    Error::new("08P01", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(kind: u8, body: Vec<u8>) {
            let _ = decode(kind, Bytes::from(body.clone()));
            let _ = startup(Bytes::from(body));
        }
    }

    #[test]
    fn short_bodies_are_08p01() {
        for (kind, body) in [(b'P', &b"\0\0\0"[..]), (b'B', b"\0\0\0\x05"), (b'D', b"X\0")] {
            let error = decode(kind, Bytes::from_static(body)).unwrap_err();
            assert_eq!(error.sqlstate, "08P01");
        }
    }
}
