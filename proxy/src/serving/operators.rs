//! Who may enter the console and the page: a file of lines `"name" "SCRAM-SHA-256$…" role`, as PgBouncer's userlist has
//! them, and the role behind. It holds no password, but what a password is checked with; it is read anew each time, so
//! that whoever is taken out of it is out at once.

mod password;

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgwire::api::auth::sasl::scram::ScramSecret;
use ring::hmac;
use subtle::ConstantTimeEq;

/// A thousand operators are more than anybody has.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// What PostgreSQL's own verifiers have.
const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const ITERATIONS: usize = 4096;
/// More than this would keep a processor busy for a second; the server makes 4096.
const ITERATIONS_MAX: usize = 1_000_000;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    See,
    Operate,
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Role::See => "see",
            Role::Operate => "operate",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    #[error("cannot read the users in {path}: {error}")]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("the users in {0} are not used, for others may read the file: chmod o-rwx it")]
    Open(PathBuf),
    #[error("the users in {path} have {FILE_BYTES_MAX} bytes or more")]
    TooLong { path: PathBuf },
    /// Never the line itself, which may hold a password.
    #[error(
        "the users in {path}, line {line}: {wrong}; expected \"name\" \"SCRAM-SHA-256$…\" see|operate"
    )]
    Line {
        path: PathBuf,
        line: usize,
        wrong: &'static str,
    },
    #[error("{0} names no user: `crossfade console-user NAME` makes a line")]
    Nobody(PathBuf),
}

/// What a password is checked with.
#[derive(Clone, PartialEq, Eq)]
struct Verifier {
    iterations: usize,
    salt: Vec<u8>,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl Verifier {
    /// As `pg_authid` has it: `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.
    fn read(text: &str) -> Option<Verifier> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (first, keys) = rest.split_once('$')?;
        let (iterations, salt) = first.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let bytes = |text: &str| STANDARD.decode(text).ok();
        let key = |text: &str| bytes(text).filter(|key| key.len() == KEY_BYTES);
        let iterations = iterations.parse().ok();
        Some(Verifier {
            iterations: iterations.filter(|n| (1..=ITERATIONS_MAX).contains(n))?,
            salt: bytes(salt).filter(|salt| !salt.is_empty())?,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }

    fn is_of(&self, password: &str) -> bool {
        let iterations = u32::try_from(self.iterations).unwrap_or(u32::MAX);
        password::stored_key(password, &self.salt, iterations)
            .is_some_and(|key| key.ct_eq(&self.stored_key).into())
    }
}

struct User {
    name: String,
    verifier: Verifier,
    role: Role,
}

/// Those of one file.
pub(super) struct Users(Vec<User>);

impl Users {
    pub fn read(path: &Path) -> Result<Users, UsersError> {
        let failed = |error| UsersError::Read {
            path: path.to_owned(),
            error,
        };
        let file = std::fs::File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(UsersError::Open(path.to_owned()));
        }
        let mut text = String::new();
        let mut file = file.take(FILE_BYTES_MAX);
        file.read_to_string(&mut text).map_err(failed)?;
        if text.len() as u64 == FILE_BYTES_MAX {
            return Err(UsersError::TooLong {
                path: path.to_owned(),
            });
        }
        let mut users = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let wrong = |wrong| UsersError::Line {
                path: path.to_owned(),
                line: index + 1,
                wrong,
            };
            let Some(user) = user(line).map_err(wrong)? else {
                continue;
            };
            if users.iter().any(|other: &User| other.name == user.name) {
                return Err(wrong("a name that stands above already"));
            }
            users.push(user);
        }
        if users.is_empty() {
            return Err(UsersError::Nobody(path.to_owned()));
        }
        Ok(Users(users))
    }

    /// What somebody may do; `None`: nothing, for the file does not name him.
    pub fn role(&self, name: &str) -> Option<Role> {
        let user = self.0.iter().find(|user| user.name == name);
        user.map(|user| user.role)
    }

    /// The same of whoever says this password; `None`: it is not his. Takes milliseconds of a processor, as many for a name
    /// that is not there.
    pub fn role_of(&self, name: &str, password: &str) -> Option<Role> {
        let user = self.0.iter().find(|user| user.name == name);
        let stranger = self.stranger(name);
        let verifier = user.map_or(&stranger, |user| &user.verifier);
        let proved = verifier.is_of(password);
        user.filter(|_| proved).map(|user| user.role)
    }

    /// What somebody's password is checked with, and what he may do. Of a name that is not there it looks the same, each
    /// time: nobody learns who is. `None`: whatever he proves, he may do nothing.
    pub fn secret(&self, name: &str) -> (ScramSecret, Option<Role>) {
        match self.0.iter().find(|user| user.name == name) {
            Some(user) => (secret(&user.verifier), Some(user.role)),
            None => (secret(&self.stranger(name)), None),
        }
    }

    /// Made of what only the file knows, so that a name has the same salt as long as the file is the same.
    fn stranger(&self, name: &str) -> Verifier {
        let mut keys = Vec::new();
        for user in &self.0 {
            keys.extend_from_slice(&user.verifier.stored_key);
            keys.extend_from_slice(&user.verifier.server_key);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, &keys);
        let made_of = |what: &str| hmac::sign(&key, format!("{what} {name}").as_bytes());
        let first = self.0.first();
        let salt_bytes = first.map_or(SALT_BYTES, |user| user.verifier.salt.len());
        let salt = made_of("salt");
        Verifier {
            iterations: first.map_or(ITERATIONS, |user| user.verifier.iterations),
            salt: salt
                .as_ref()
                .iter()
                .copied()
                .cycle()
                .take(salt_bytes)
                .collect(),
            stored_key: made_of("stored key").as_ref().to_vec(),
            server_key: made_of("server key").as_ref().to_vec(),
        }
    }
}

fn secret(verifier: &Verifier) -> ScramSecret {
    ScramSecret::Verifier {
        salt: verifier.salt.clone(),
        iterations: verifier.iterations,
        stored_key: verifier.stored_key.clone(),
        server_key: verifier.server_key.clone(),
    }
}

/// `None`: a line that says nothing.
fn user(line: &str) -> Result<Option<User>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with([';', '#']) {
        return Ok(None);
    }
    let (name, rest) = quoted(line).ok_or("no name in double quotes")?;
    let (verifier, rest) = quoted(rest.trim_start()).ok_or("no verifier in double quotes")?;
    if name.is_empty() {
        return Err("an empty name");
    }
    let verifier = Verifier::read(&verifier).ok_or("what is no verifier of SCRAM-SHA-256")?;
    let role = match rest.trim() {
        "see" => Role::See,
        "operate" => Role::Operate,
        _ => return Err("no role"),
    };
    Ok(Some(User {
        name,
        verifier,
        role,
    }))
}

/// A word in double quotes, of which two stand for one, and what is behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut word = String::new();
    loop {
        let (before, after) = rest.split_once('"')?;
        word.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                word.push('"');
                rest = more;
            }
            None => return Some((word, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Of `secret`, as a server made it.
    const VERIFIER: &str = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    fn read(text: &str, mode: u32) -> Result<Users, UsersError> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(file.path(), permissions).expect("mode");
        Users::read(file.path())
    }

    #[test]
    fn names_roles_and_quotes_are_read_and_comments_are_not() {
        let text = format!(
            "; a comment\n\n# another\n\"ann\" \"{VERIFIER}\" operate\n  \"b\"\"o b\"   \"{VERIFIER}\"  see \n"
        );
        let users = read(&text, 0o640).expect("valid");
        assert_eq!(users.secret("ann").1, Some(Role::Operate));
        assert_eq!(users.secret("b\"o b").1, Some(Role::See));
        assert_eq!(users.secret("Ann").1, None);
        assert_eq!(users.role("ann"), Some(Role::Operate));
        assert_eq!(users.role("Ann"), None);
    }

    #[test]
    fn a_password_is_its_own_users_alone() {
        let pencil = password::PENCIL;
        let text = format!("\"ann\" \"{pencil}\" operate\n\"bea\" \"{VERIFIER}\" see\n");
        let users = read(&text, 0o600).expect("valid");
        assert_eq!(users.role_of("ann", "pencil"), Some(Role::Operate));
        for (name, said) in [
            ("ann", "Pencil"),
            ("bea", "pencil"),
            ("eve", "pencil"),
            ("", ""),
        ] {
            assert_eq!(users.role_of(name, said), None, "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_the_line() {
        for (line, word) in [
            ("ann secret see", "no name"),
            ("\"ann\" secret", "no verifier"),
            ("\"ann\" \"secret\" see", "no verifier of SCRAM"),
            ("\"ann\" \"md5secret\" see", "no verifier of SCRAM"),
            ("\"\" \"secret\" see", "empty name"),
            (&format!("\"ann\" \"{VERIFIER}\""), "no role"),
            (&format!("\"ann\" \"{VERIFIER}\" admin"), "no role"),
            (
                &format!("\"ann\" \"{}\" see", VERIFIER.replace("4096", "0")),
                "no verifier of SCRAM",
            ),
        ] {
            let error = read(&format!("\n{line}\n"), 0o600).err().expect(line);
            let error = error.to_string();
            assert!(error.contains(word) && error.contains("line 2"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let twice = format!("\"a\" \"{VERIFIER}\" see\n\"a\" \"{VERIFIER}\" operate\n");
        let error = read(&twice, 0o600).err().expect("twice").to_string();
        assert!(error.contains("above already"), "{error}");
    }

    #[test]
    fn a_file_that_others_may_read_or_that_names_nobody_is_refused() {
        let line = format!("\"ann\" \"{VERIFIER}\" see\n");
        let open = read(&line, 0o644).err().expect("open").to_string();
        assert!(open.contains("others may read"), "{open}");
        let empty = read("# nobody\n", 0o600).err().expect("empty").to_string();
        assert!(empty.contains("names no user"), "{empty}");
    }

    #[test]
    fn a_name_that_is_not_there_looks_like_one_that_is() {
        let text = format!("\"ann\" \"{VERIFIER}\" see\n");
        let (one, other) = (read(&text, 0o600), read(&text, 0o600));
        let (one, other) = (one.expect("valid"), other.expect("valid"));
        let shown = |secret: ScramSecret| match secret {
            ScramSecret::Verifier {
                salt, iterations, ..
            } => (salt, iterations),
            ScramSecret::SaltedPassword { .. } => unreachable!("only verifiers are made"),
        };
        let (salt, iterations) = shown(one.secret("eve").0);
        assert_eq!((salt.len(), iterations), (16, 4096));
        assert_eq!(shown(other.secret("eve").0).0, salt, "each time the same");
        assert_ne!(shown(one.secret("eva").0).0, salt, "not for all the same");
    }
}
