//! The users of the page, as their file has them at the time: whoever is taken out of it is out.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::serving::operators::{Role, Users, UsersError};

#[derive(Debug)]
pub(super) struct UserFile {
    path: PathBuf,
    /// What was wrong with it when it was read last, and has been told.
    told: Mutex<String>,
}

impl UserFile {
    /// An error where it cannot be used at the start.
    pub fn new(path: PathBuf) -> Result<UserFile, UsersError> {
        Users::read(&path)?;
        Ok(UserFile {
            path,
            told: Mutex::default(),
        })
    }

    /// What somebody may do; `None`: nothing, for the file does not name him.
    pub fn role(&self, name: &str) -> Option<Role> {
        self.users()?.role(name)
    }

    /// The same of whoever says this password; `None`: it is not his.
    pub fn role_of(&self, name: &str, password: &str) -> Option<Role> {
        self.users()?.role_of(name, password)
    }

    /// A file that cannot be used lets nobody in.
    fn users(&self) -> Option<Users> {
        let read = Users::read(&self.path);
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// What a server made of `pencil`, by the example of RFC 7677.
    const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
        WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

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
}
