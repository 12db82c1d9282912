//! SCRAM-SHA-256 over the wire (RFC 5802), and SCRAM-SHA-256-PLUS bound to the TLS certificate.
//!
//! ```text
//!   server  R 10 mechanisms         client  p mechanism, n,,n=*,r=<nonce>
//!   server  R 11 r=…,s=…,i=…        client  p c=…,r=…,p=<proof>
//!   server  R 12 v=<signature>
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};
use sql::access::scram::{self, Verifier};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Error;
use crate::wire::message::protocol;
use crate::wire::reply;

const PLAIN: &str = "SCRAM-SHA-256";
const PLUS: &str = "SCRAM-SHA-256-PLUS";
/// Longest message of the exchange, bytes.
const LIMIT: usize = 4 << 10;
const NONCE_BYTES: usize = 18;

/// Runs the exchange; whether the client knows the password. `binding` is the hash of the server's
/// certificate on an encrypted connection.
pub async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    verifier: &Verifier,
    binding: Option<&[u8]>,
) -> Result<bool, Error> {
    send(stream, 10, |out| {
        for mechanism in binding.map(|_| PLUS).into_iter().chain([PLAIN]) {
            reply::text(out, mechanism);
        }
        out.put_u8(0);
    })
    .await?;
    let first = receive(stream).await?;
    let (mechanism, message) = initial(&first)?;
    let hello = Hello::read(message, &mechanism, binding)?;
    let nonce = STANDARD.encode(scram::random::<NONCE_BYTES>()?);
    let nonce = format!("{}{nonce}", hello.nonce);
    let challenge =
        format!("r={nonce},s={},i={}", STANDARD.encode(&verifier.salt), verifier.iterations);
    send(stream, 11, |out| out.put_slice(challenge.as_bytes())).await?;
    let last = receive(stream).await?;
    let last = std::str::from_utf8(&last).map_err(|_| malformed())?;
    let (unproven, proof) = last.rsplit_once(",p=").ok_or_else(malformed)?;
    let mut parts = unproven.split(',');
    let bound = parts.next().and_then(|part| part.strip_prefix("c=")).ok_or_else(malformed)?;
    let answered = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or_else(malformed)?;
    let proof = STANDARD.decode(proof).map_err(|_| malformed())?;
    let mut expected = hello.header.as_bytes().to_vec();
    if mechanism == PLUS {
        expected.extend_from_slice(binding.unwrap_or_default());
    }
    if STANDARD.decode(bound).map_err(|_| malformed())? != expected {
        return Err(Error::new("08P01", "SCRAM channel binding check failed"));
    }
    if answered != nonce {
        return Err(malformed());
    }
    let signed = format!("{},{challenge},{unproven}", hello.bare);
    if !verifier.accepts(&proof, signed.as_bytes()) {
        return Ok(false);
    }
    let signature = STANDARD.encode(verifier.signature(signed.as_bytes()));
    send(stream, 12, |out| out.put_slice(format!("v={signature}").as_bytes())).await?;
    Ok(true)
}

/// The client's first message.
struct Hello {
    /// `n,,`, `y,,` or `p=tls-server-end-point,,`.
    header: String,
    bare: String,
    nonce: String,
}

impl Hello {
    fn read(message: &[u8], mechanism: &str, binding: Option<&[u8]>) -> Result<Self, Error> {
        let message = std::str::from_utf8(message).map_err(|_| malformed())?;
        let mut parts = message.splitn(3, ',');
        let (flag, identity) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let bare = parts.next().ok_or_else(malformed)?;
        let plus = mechanism == PLUS;
        match flag {
            "n" if !plus => {}
            // The client could bind but believes that we cannot: somebody is in between.
            "y" if !plus && binding.is_none() => {}
            "y" if !plus => {
                let message = "SCRAM channel binding negotiation error";
                return Err(Error::new("28000", message));
            }
            "p=tls-server-end-point" if plus => {}
            _ => return Err(malformed()),
        }
        if !identity.is_empty() {
            let message = "client uses authorization identity, but it is not supported";
            return Err(Error::new("0A000", message));
        }
        let nonce = bare.split(',').find_map(|part| part.strip_prefix("r="));
        let nonce = nonce.filter(|nonce| !nonce.is_empty()).ok_or_else(malformed)?;
        if !bare.starts_with("n=") {
            return Err(malformed());
        }
        Ok(Self { header: format!("{flag},,"), bare: bare.into(), nonce: nonce.into() })
    }
}

fn malformed() -> Error {
    protocol("malformed SCRAM message")
}

/// Mechanism and message of SASLInitialResponse.
fn initial(body: &[u8]) -> Result<(String, &[u8]), Error> {
    let end = body.iter().position(|byte| *byte == 0).ok_or_else(malformed)?;
    let name = std::str::from_utf8(&body[..end]).map_err(|_| malformed())?;
    if name != PLAIN && name != PLUS {
        return Err(protocol("client selected an invalid SASL authentication mechanism"));
    }
    let message = body.get(end + 5..).ok_or_else(malformed)?;
    Ok((name.to_owned(), message))
}

async fn send<S: AsyncWrite + Unpin>(
    stream: &mut S,
    kind: i32,
    body: impl FnOnce(&mut BytesMut),
) -> Result<(), Error> {
    let mut out = BytesMut::new();
    reply::message(&mut out, b'R', |out| {
        out.put_i32(kind);
        body(out);
    });
    let sent = match stream.write_all(&out).await {
        Ok(()) => stream.flush().await,
        failed => failed,
    };
    sent.map_err(|_| gone())
}

async fn receive<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, Error> {
    let kind = stream.read_u8().await.map_err(|_| gone())?;
    let length = stream.read_i32().await.map_err(|_| gone())?;
    let length = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
    let length = length.filter(|length| *length <= LIMIT && kind == b'p');
    let length = length.ok_or_else(|| protocol("expected SASL response"))?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(|_| gone())?;
    Ok(body)
}

fn gone() -> Error {
    Error::new("08006", "the client left during authentication")
}

/// The hash of a certificate that both sides bind to; None: its signature names no hash.
pub fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    use ring::digest;
    let signature = signature_algorithm(certificate)?;
    let algorithm = match signature {
        // RSA and ECDSA with SHA-1 and MD5 count as SHA-256 (RFC 5929).
        [.., 0x01, 0x01, 0x0b | 0x05 | 0x04] | [.., 0x04, 0x03, 0x02] | [.., 0x04, 0x01] => {
            &digest::SHA256
        }
        [.., 0x01, 0x01, 0x0c] | [.., 0x04, 0x03, 0x03] => &digest::SHA384,
        [.., 0x01, 0x01, 0x0d] | [.., 0x04, 0x03, 0x04] => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// Certificate ::= SEQUENCE { tbs, SEQUENCE { OID, … }, … }: the OID's bytes.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (whole, _) = element(certificate)?;
    let (_, after) = element(whole)?;
    let (algorithm, _) = element(after)?;
    element(algorithm).map(|(oid, _)| oid)
}

/// The contents of the first DER element, and what follows it.
fn element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = usize::from(*bytes.get(1)?);
    let (length, head) = match first {
        ..=0x7f => (first, 2),
        0x81..=0x84 => {
            let count = first - 0x80;
            let digits = bytes.get(2..2 + count)?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), 2 + count)
        }
        _ => return None,
    };
    let end = head.checked_add(length)?;
    Some((bytes.get(head..end)?, bytes.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let _ = end_point(&bytes);
            let _ = initial(&bytes);
            let _ = Hello::read(&bytes, PLAIN, None);
        }
    }

    #[test]
    fn a_client_that_was_talked_out_of_binding_is_refused() {
        let hello = |flag: &str, mechanism, binding| {
            Hello::read(format!("{flag},,n=,r=abc").as_bytes(), mechanism, binding).is_ok()
        };
        assert!(hello("n", PLAIN, Some(&[1][..])) && hello("y", PLAIN, None));
        assert!(!hello("y", PLAIN, Some(&[1])) && !hello("n", PLUS, Some(&[1])));
        assert!(hello("p=tls-server-end-point", PLUS, Some(&[1])));
    }
}
