//! Who may enter. Without roles, only this machine: a password check takes the place of this one.

use std::net::SocketAddr;

use crate::Error;

/// Lets a user in, or says why not.
pub fn authenticate(peer: SocketAddr, user: &str) -> Result<(), Error> {
    if user.is_empty() {
        return Err(Error::new(
            "28000",
            "no PostgreSQL user name specified in startup packet",
        ));
    }
    if !peer.ip().to_canonical().is_loopback() {
        let message = format!(
            "connection from {} refused: the server has no roles",
            peer.ip()
        );
        return Err(Error::new("28000", message).with_hint(
            "Without roles only connections from the server's own machine are let in.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_enters_without_roles() {
        let enter = |text: &str| authenticate(text.parse().unwrap(), "me");
        assert!(enter("127.0.0.1:9").is_ok());
        assert!(enter("[::ffff:127.0.0.1]:9").is_ok());
        assert_eq!(enter("10.0.0.1:9").unwrap_err().sqlstate, "28000");
    }
}
