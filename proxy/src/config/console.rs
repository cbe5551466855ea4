//! The console: whom it lets in, under which name it is reached, and its limits.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// `[console]`. Without `users` there is none, and a database of its name is the server's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleConfig {
    /// Who may enter, by what password, and what they may do.
    pub users: Option<PathBuf>,
    /// The database that clients ask for to get there.
    pub database: String,
    /// Sessions at once. They take nothing from `connections_max`, so that there is room when that is reached.
    pub sessions_max: usize,
    /// The longest that PAUSE holds transactions back; then they go on.
    pub pause_max_ms: u64,
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        ConsoleConfig {
            users: None,
            database: "crossfade".to_owned(),
            // A handful of operators and their programs.
            sessions_max: 20,
            // Applications give up on a statement after 30 s at the earliest, and after a minute most of them.
            pause_max_ms: 30_000,
        }
    }
}

impl ConsoleConfig {
    pub(super) fn relative_to(&mut self, directory: &Path) {
        self.users = self.users.take().map(|users| directory.join(users));
    }

    /// A key whose value cannot be, and what was expected.
    pub(super) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        if self.database.is_empty() || self.database.contains('\0') {
            let value = format!("{:?}", self.database);
            return Some(("console.database", value, "the name of a database"));
        }
        if self.sessions_max == 0 {
            return Some(("console.sessions_max", "0".to_owned(), "1 or more"));
        }
        if !(1..=3_600_000).contains(&self.pause_max_ms) {
            let value = self.pause_max_ms.to_string();
            return Some(("console.pause_max_ms", value, "1 to 3600000, an hour"));
        }
        None
    }
}
