//! The users of the page: a file of lines `"name" "SCRAM-SHA-256$…" role`, as PgBouncer's userlist has them, and the role
//! behind. It is read anew each time: whoever is taken out of it is out.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::password::Verifier;

/// A thousand operators are more than anybody has.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    See,
    Operate,
}

#[derive(Debug, thiserror::Error)]
pub(in super::super) enum UsersError {
    #[error("cannot read the users in {path}: {error}")]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("the users in {0} are not used, for others may read the file: chmod o-rwx it")]
    Open(PathBuf),
    #[error("the users in {0} have {FILE_BYTES_MAX} bytes or more")]
    TooLong(PathBuf),
    /// Never the line itself, which may hold a password.
    #[error(
        "the users in {path}, line {line}: {wrong}; expected \"name\" \"SCRAM-SHA-256$…\" see|operate"
    )]
    Line {
        path: PathBuf,
        line: usize,
        wrong: &'static str,
    },
    #[error("{0} names no user")]
    Nobody(PathBuf),
}

#[derive(Debug)]
struct User {
    name: String,
    verifier: Verifier,
    role: Role,
}

#[derive(Debug)]
pub(super) struct UserFile {
    path: PathBuf,
    /// What was wrong with it when it was read last, and has been told.
    told: Mutex<String>,
}

impl UserFile {
    /// An error where it cannot be used at the start.
    pub fn new(path: PathBuf) -> Result<UserFile, UsersError> {
        read(&path)?;
        Ok(UserFile {
            path,
            told: Mutex::default(),
        })
    }

    /// What somebody may do; `None`: nothing, for the file does not name him.
    pub fn role(&self, name: &str) -> Option<Role> {
        let users = self.users()?;
        let user = users.iter().find(|user| user.name == name);
        user.map(|user| user.role)
    }

    /// The same of whoever says this password; `None`: it is not his. Takes milliseconds of a processor, as many for a name
    /// that is not there.
    pub fn role_of(&self, name: &str, password: &str) -> Option<Role> {
        let users = self.users()?;
        let user = users.iter().find(|user| user.name == name);
        let nobody = Verifier::of_nobody();
        let verifier = user.map_or(&nobody, |user| &user.verifier);
        let proved = verifier.is_of(password);
        user.filter(|_| proved).map(|user| user.role)
    }

    /// A file that cannot be used lets nobody in.
    fn users(&self) -> Option<Vec<User>> {
        let read = read(&self.path);
        let now = read.as_ref().err().map(ToString::to_string);
        let now = now.unwrap_or_default();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != now {
            if !now.is_empty() {
                tracing::error!("nobody is let in to the page: {now}");
            }
            *told = now;
        }
        read.ok()
    }
}

fn read(path: &Path) -> Result<Vec<User>, UsersError> {
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
        return Err(UsersError::TooLong(path.to_owned()));
    }
    let mut users: Vec<User> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |wrong| UsersError::Line {
            path: path.to_owned(),
            line: index + 1,
            wrong,
        };
        let Some(user) = user(line).map_err(wrong)? else {
            continue;
        };
        if users.iter().any(|other| other.name == user.name) {
            return Err(wrong("a name that stands above already"));
        }
        users.push(user);
    }
    if users.is_empty() {
        return Err(UsersError::Nobody(path.to_owned()));
    }
    Ok(users)
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

    use super::super::password::PENCIL;
    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::NamedTempFile, Result<UserFile, UsersError>) {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(file.path(), permissions).expect("mode");
        let users = UserFile::new(file.path().to_owned());
        (file, users)
    }

    #[test]
    fn a_password_is_its_own_users_alone_and_whoever_is_taken_out_is_out() {
        let text = format!(
            "; a comment\n\n\"ann\" \"{PENCIL}\" operate\n  \"b\"\"o b\"  \"{PENCIL}\" see \n"
        );
        let (file, users) = file(&text, 0o640);
        let users = users.expect("valid");
        assert_eq!(users.role_of("ann", "pencil"), Some(Role::Operate));
        assert_eq!(users.role_of("b\"o b", "pencil"), Some(Role::See));
        assert_eq!(users.role_of("ann", "Pencil"), None);
        for name in ["Ann", "", "nobody"] {
            assert_eq!(users.role_of(name, "pencil"), None, "{name}");
            assert_eq!(users.role(name), None, "{name}");
        }
        std::fs::write(file.path(), format!("\"bea\" \"{PENCIL}\" see\n")).expect("written");
        assert_eq!(users.role("ann"), None);
        std::fs::write(file.path(), "\"bea\"").expect("written");
        assert_eq!(users.role_of("bea", "pencil"), None);
    }

    #[test]
    fn what_is_wrong_is_told_without_the_line() {
        let twice = format!("\"ann\" \"{PENCIL}\" see\n\"ann\" \"{PENCIL}\" operate\n");
        for (text, mode, word) in [
            ("ann secret see", 0o600, "no name"),
            ("\"ann\" secret", 0o600, "no verifier in"),
            ("\"ann\" \"secret\" see", 0o600, "no verifier of"),
            (&format!("\"ann\" \"{PENCIL}\" secret"), 0o600, "no role"),
            (&format!("\"\" \"{PENCIL}\" see"), 0o600, "an empty name"),
            (&twice, 0o600, "line 2: a name that stands above"),
            ("# nobody\n", 0o600, "names no user"),
            (&twice, 0o604, "chmod"),
        ] {
            let (_file, users) = file(text, mode);
            let told = users.expect_err(text).to_string();
            assert!(told.contains(word) && !told.contains("secret"), "{told}");
        }
    }
}
