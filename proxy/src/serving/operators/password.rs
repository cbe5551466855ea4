//! What a SCRAM-SHA-256 verifier keeps of a password (RFC 5802): the proxy keeps verifiers as the server does, and no
//! password.

use std::num::NonZeroU32;

use ring::digest::{SHA256, digest};
use ring::{hmac, pbkdf2};

/// What the server takes at most.
const PASSWORD_BYTES_MAX: usize = 1024;

/// The key that a password is known by; `None` for what no password can be. Takes milliseconds of a processor.
pub(super) fn stored_key(password: &str, salt: &[u8], iterations: u32) -> Option<Vec<u8>> {
    if password.len() > PASSWORD_BYTES_MAX {
        return None;
    }
    // What SASLprep does not take is taken as it is, as PostgreSQL does.
    let prepared = stringprep::saslprep(password);
    let prepared = prepared.as_deref().unwrap_or(password);
    let mut salted = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        NonZeroU32::new(iterations)?,
        salt,
        prepared.as_bytes(),
        &mut salted,
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let client_key = hmac::sign(&key, b"Client Key");
    Some(digest(&SHA256, client_key.as_ref()).as_ref().to_vec())
}

/// What a server made of `pencil`, by the example of RFC 7677.
#[cfg(test)]
pub(super) const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_verifier_is_of_its_own_password_alone() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let key = STANDARD.decode("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
        let key = key.expect("base64");
        let is = |password: &str| stored_key(password, &salt, 4096).as_ref() == Some(&key);
        assert!(is("pencil"));
        // SASLprep: a soft hyphen is nothing.
        assert!(is("pen\u{ad}cil"));
        for wrong in ["", "Pencil", "pencil ", &"p".repeat(2000)] {
            assert!(!is(wrong), "{wrong}");
        }
    }
}
