//! TLS from PEM files. A server told to use TLS that cannot load its key does not start.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::Error;
use crate::config::Config;
use crate::wire::sasl;

/// The acceptor for the certificate and key of `config`, and the hash that log-ins are bound to;
/// None without them.
pub fn acceptor(config: &Config) -> Result<Option<(TlsAcceptor, Option<Vec<u8>>)>, Error> {
    let (Some(cert), Some(key)) = (&config.tls_cert, &config.tls_key) else {
        return Ok(None);
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed("certificate", cert, &error))?;
    if chain.is_empty() {
        return Err(failed("certificate", cert, &"no certificate in it"));
    }
    let end_point = sasl::end_point(&chain[0]);
    let text = std::fs::read_to_string(key).map_err(|error| failed("key", key, &error))?;
    if text.contains("ENCRYPTED") {
        let reason = "it is encrypted; openssl pkey writes it without its passphrase";
        return Err(failed("key", key, &reason));
    }
    // Reads PKCS#8, PKCS#1 and SEC1 alike.
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| failed("key", key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("key", key, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|error| failed("key", key, &error))?;
    server.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(Some((TlsAcceptor::from(Arc::new(server)), end_point)))
}

fn failed(what: &str, path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::new("F0000", format!("cannot load TLS {what} \"{}\": {reason}", path.display()))
}
