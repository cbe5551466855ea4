//! Whether a password is the one that a SCRAM-SHA-256 verifier was made of (RFC 5802): the proxy keeps verifiers as the
//! server does, and no password.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::{hmac, pbkdf2};
use subtle::ConstantTimeEq;

/// More than this would keep a processor busy for a second; the server makes 4096.
const ITERATIONS_MAX: u32 = 1_000_000;
/// What the server takes at most.
const PASSWORD_BYTES_MAX: usize = 1024;

/// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, as the server keeps it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Verifier {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored_key: Vec<u8>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// `None`: it is none.
    pub fn read(text: &str) -> Option<Verifier> {
        let parts = text.strip_prefix("SCRAM-SHA-256$")?;
        let (how, keys) = parts.split_once('$')?;
        let (iterations, salt) = how.split_once(':')?;
        let (stored_key, _server_key) = keys.split_once(':')?;
        let iterations = iterations.parse().ok().and_then(NonZeroU32::new);
        let verifier = Verifier {
            iterations: iterations.filter(|iterations| iterations.get() <= ITERATIONS_MAX)?,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: STANDARD.decode(stored_key).ok()?,
        };
        (verifier.stored_key.len() == SHA256.output_len()).then_some(verifier)
    }

    /// One that no password is of, which takes as long to find out as with another: who guesses names is told nothing by
    /// the time that it takes.
    pub fn of_nobody() -> Verifier {
        Verifier {
            iterations: NonZeroU32::MIN.saturating_add(4095),
            salt: vec![0; 16],
            stored_key: Vec::new(),
        }
    }

    /// Takes milliseconds of a processor.
    pub fn is_of(&self, password: &str) -> bool {
        if password.len() > PASSWORD_BYTES_MAX {
            return false;
        }
        // What SASLprep does not take is taken as it is, as PostgreSQL does.
        let prepared = stringprep::saslprep(password);
        let prepared = prepared.as_deref().unwrap_or(password);
        let mut salted = [0; 32];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            self.iterations,
            &self.salt,
            prepared.as_bytes(),
            &mut salted,
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client_key = hmac::sign(&key, b"Client Key");
        let stored_key = digest(&SHA256, client_key.as_ref());
        stored_key.as_ref().ct_eq(&self.stored_key).into()
    }
}

/// What a server made of `pencil`, by the example of RFC 7677.
#[cfg(test)]
pub(super) const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_of_its_own_password_alone() {
        let verifier = Verifier::read(PENCIL).expect("a verifier");
        assert!(verifier.is_of("pencil"));
        // SASLprep: a soft hyphen is nothing.
        assert!(verifier.is_of("pen\u{ad}cil"));
        for wrong in ["", "Pencil", "pencil ", &"p".repeat(2000)] {
            assert!(!verifier.is_of(wrong), "{wrong}");
        }
        for password in ["", "pencil"] {
            assert!(!Verifier::of_nobody().is_of(password));
        }
    }

    #[test]
    fn what_is_no_verifier_is_none() {
        for text in [
            "",
            "pencil",
            "md5aabbcc",
            "SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:x",
            "SCRAM-SHA-256$9999999:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:x",
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d:x",
            "SCRAM-SHA-256$4096:!$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:x",
        ] {
            assert_eq!(Verifier::read(text), None, "{text}");
        }
    }
}
