//! SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677), in the text form that Postgres keeps them in:
//! `SCRAM-SHA-256$4096:<salt>$<stored key>:<server key>`. The password itself is never kept.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

use crate::error::{Error, Result};

/// Rounds of the key derivation, as in Postgres.
pub const ITERATIONS: u32 = 4096;
const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const PREFIX: &str = "SCRAM-SHA-256$";
/// More rounds in a verifier made elsewhere would let a log-in take the server's time.
const MOST_ITERATIONS: u32 = 1_000_000;

/// What the server keeps of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    pub iterations: u32,
    pub salt: Vec<u8>,
    pub stored_key: [u8; KEY_BYTES],
    pub server_key: [u8; KEY_BYTES],
}

impl Verifier {
    /// The verifier of a password under a new salt.
    pub fn of(password: &str) -> Result<Self> {
        Ok(Self::derive(password, random::<SALT_BYTES>()?.to_vec(), ITERATIONS))
    }

    /// The verifier of a password under a salt.
    pub fn derive(password: &str, salt: Vec<u8>, iterations: u32) -> Self {
        let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
        let prepared = stringprep::saslprep(password);
        let prepared = prepared.as_deref().unwrap_or(password);
        let mut salted = [0; KEY_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, prepared.as_bytes(), &mut salted);
        let client_key = sign(&salted, b"Client Key");
        Self {
            iterations: rounds.get(),
            salt,
            stored_key: hash(&client_key),
            server_key: sign(&salted, b"Server Key"),
        }
    }

    /// A verifier that no password matches, always the same for a name.
    pub fn mock(secret: &[u8], name: &str) -> Self {
        let salt = sign(secret, name.as_bytes())[..SALT_BYTES].to_vec();
        let stored_key = sign(secret, format!("stored\0{name}").as_bytes());
        let server_key = sign(secret, format!("server\0{name}").as_bytes());
        Self { iterations: ITERATIONS, salt, stored_key, server_key }
    }

    /// Reads the text form; None if it is another text.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, keys) = text.strip_prefix(PREFIX)?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let iterations = iterations.parse().ok().filter(|n| (1..=MOST_ITERATIONS).contains(n))?;
        Some(Self {
            iterations,
            salt: STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty())?,
            stored_key: STANDARD.decode(stored).ok()?.try_into().ok()?,
            server_key: STANDARD.decode(server).ok()?.try_into().ok()?,
        })
    }

    /// The text form.
    pub fn text(&self) -> String {
        format!(
            "{PREFIX}{}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key)
        )
    }

    /// Whether a client's proof over `message` shows that it knows the password.
    pub fn accepts(&self, proof: &[u8], message: &[u8]) -> bool {
        let signature = sign(&self.stored_key, message);
        if proof.len() != signature.len() {
            return false;
        }
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        same(&hash(&client_key), &self.stored_key)
    }

    /// What proves to the client that the server knows the verifier.
    pub fn signature(&self, message: &[u8]) -> [u8; KEY_BYTES] {
        sign(&self.server_key, message)
    }
}

/// What is kept for PASSWORD '…': the verifier, made here unless it is one already.
pub fn verifier_text(password: &str) -> Result<String> {
    if Verifier::parse(password).is_some() {
        return Ok(password.to_owned());
    }
    let md5 = password.strip_prefix("md5").unwrap_or_default();
    if md5.len() == 32 && md5.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Error::new("0A000", "md5 passwords are not supported")
            .with_hint("Give the password itself, or a SCRAM-SHA-256 verifier."));
    }
    Ok(Verifier::of(password)?.text())
}

/// Random bytes of the operating system.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Error::new("58000", "no random numbers"))?;
    Ok(bytes)
}

/// Compares in a time that does not tell where the two differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

fn sign(key: &[u8], message: &[u8]) -> [u8; KEY_BYTES] {
    let mut out = [0; KEY_BYTES];
    out.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref());
    out
}

fn hash(bytes: &[u8]) -> [u8; KEY_BYTES] {
    let mut out = [0; KEY_BYTES];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    // The exchange in RFC 7677, section 3: user "user", password "pencil".
    #[test]
    fn the_exchange_of_rfc_7677_holds() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = Verifier::derive("pencil", salt, 4096);
        let message = b"n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        assert!(verifier.accepts(&proof, message));
        assert!(!verifier.accepts(&proof[1..], message));
        let signature = STANDARD.encode(verifier.signature(message));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn the_text_form_is_read_back() {
        let verifier = Verifier::of("geheim").unwrap();
        assert_eq!(Verifier::parse(&verifier.text()), Some(verifier.clone()));
        assert_eq!(verifier_text(&verifier.text()).unwrap(), verifier.text());
        assert_ne!(verifier_text("geheim").unwrap(), verifier.text());
        for text in ["", "SCRAM-SHA-256$4096:x$y", "SCRAM-SHA-256$0:AA==$AA==:AA=="] {
            assert_eq!(Verifier::parse(text), None, "{text}");
        }
        assert!(verifier_text("md5a3556571e93b0d20722ba62be61e8c2d").is_err());
    }
}
