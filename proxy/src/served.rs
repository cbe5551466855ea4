//! Which database the rules hold in. Sessions for another one pass through untouched, whatever its
//! tables are called.
//!
//! One proxy serves the rules of one database: it is the one that rule files name, else the control
//! URL's. It is fixed for as long as the proxy runs, because sessions are told apart when they begin.

use rewrite_rules::RuleSet;

use crate::control::ControlError;
use crate::control::connection::database_of;

/// The server keeps that much of a name at least, where it cuts a longer one, and 63 bytes at most.
const NAME_BYTES_KEPT: usize = 60;
const NAME_BYTES_MAX: usize = 63;

#[derive(Debug, thiserror::Error)]
pub enum ServedError {
    #[error(
        "migration {migration} is for database {named}, and {by} is for {served}: one proxy, and one \
         command, serves the rules of one database"
    )]
    Another {
        migration: String,
        named: String,
        by: &'static str,
        served: String,
    },
    #[error(
        "migration {migration} is for database {named}, and this proxy, which has no control URL, has taken \
         its sessions for those of any database so far: start it again"
    )]
    Late { migration: String, named: String },
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// The database that the rules hold in; `None` where nothing says which, and they hold in every one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served(Option<(String, &'static str)>);

impl Served {
    /// By the control URL, and without one by the rule files.
    pub fn of(rules: &RuleSet, control_url: Option<&str>) -> Result<Served, ServedError> {
        let control = control_url.map(database_of).transpose()?;
        let by_control = control.map(|database| (database, "the control URL"));
        let mut named = rules.migrations().iter().filter_map(|m| m.database.clone());
        let by_rules = || named.next().map(|database| (database, "another one"));
        let served = Served(by_control.or_else(by_rules));
        served.may_follow(rules)?;
        Ok(served)
    }

    /// Whether rules are for this database.
    pub fn may_follow(&self, rules: &RuleSet) -> Result<(), ServedError> {
        for migration in rules.migrations() {
            let Some(named) = migration.database.clone() else {
                continue;
            };
            let migration = migration.name.clone();
            match &self.0 {
                Some((served, _)) if *served == named => {}
                Some((served, by)) => {
                    return Err(ServedError::Another {
                        migration,
                        named,
                        by,
                        served: served.clone(),
                    });
                }
                None => return Err(ServedError::Late { migration, named }),
            }
        }
        Ok(())
    }

    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.0.as_ref().map(|(database, _)| database.as_str())
    }

    /// Whether a session that asked for a database gets the rules. The server may cut a name that is
    /// too long, so such a one may be of any database that begins alike.
    #[must_use]
    pub fn serves(&self, asked: &[u8]) -> bool {
        let Some(served) = self.database() else {
            return true;
        };
        let served = served.as_bytes();
        let cut = served.len() >= NAME_BYTES_KEPT && asked.len() > NAME_BYTES_MAX;
        asked == served || cut && asked.starts_with(served)
    }
}

#[cfg(test)]
mod tests {
    use rewrite_rules::SourceFile;

    use super::*;

    fn rules(databases: &[Option<&str>]) -> RuleSet {
        let shipped = include_str!("../../rewrite-rules/rules/iso_agents.toml");
        let files = databases.iter().enumerate().map(|(number, database)| {
            let line = database.map(|name| format!("\ndatabase = \"{name}\""));
            let name = format!("name  = \"m{number}\"{}", line.unwrap_or_default());
            let text = shipped
                .replace("name  = \"iso_agents\"", &name)
                .replace("public.iso_agents", &format!("public.iso_agents_{number}"))
                .replace("public.users", &format!("public.users_{number}"));
            SourceFile {
                path: format!("{number}.toml").into(),
                text,
            }
        });
        RuleSet::compile(files.collect()).expect("the rules of the test are right")
    }

    #[test]
    fn rules_hold_in_the_database_that_they_name_else_in_the_control_urls() {
        let url = Some("postgres://crossfade:secret@host/app?sslmode=require");
        for (databases, control, served) in [
            (&[None, None][..], url, Some("app")),
            (&[Some("app"), None], url, Some("app")),
            (&[], url, Some("app")),
            (&[None], Some("host=h user=app"), Some("app")),
            (&[None, Some("app")], None, Some("app")),
            (&[None, None], None, None),
            (&[], None, None),
        ] {
            let found = Served::of(&rules(databases), control).expect("one database");
            assert_eq!(found.database(), served, "{databases:?} {control:?}");
        }
        for (databases, control) in [
            (&[Some("other")][..], url),
            (&[None, Some("other")], url),
            (&[Some("app"), Some("other")], None),
        ] {
            let error = Served::of(&rules(databases), control).expect_err("two databases");
            let error = error.to_string();
            assert!(error.contains("is for database other"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_database_does_not_change_while_the_proxy_runs() {
        let served = Served::of(&rules(&[Some("app")]), None).expect("one database");
        assert!(served.may_follow(&rules(&[None])).is_ok());
        assert!(served.may_follow(&rules(&[Some("other")])).is_err());
        let unknown = Served::of(&rules(&[None]), None).expect("none");
        let late = unknown.may_follow(&rules(&[Some("app")]));
        assert!(matches!(late, Err(ServedError::Late { .. })), "{late:?}");
    }

    #[test]
    fn a_session_is_of_the_database_that_the_server_takes_its_packet_to_mean() {
        let served = |name: &str| Served(Some((name.to_owned(), "the control URL")));
        assert!(served("app").serves(b"app"));
        for other in [&b"App"[..], b"app2", b"ap", b"", b"\xff"] {
            assert!(!served("app").serves(other), "{other:?}");
        }
        // Cut to 63 bytes, or to whole characters within them.
        let long = "x".repeat(63);
        assert!(served(&long).serves(format!("{long}tail").as_bytes()));
        let whole = format!("{}ü", "x".repeat(60));
        assert!(served(&whole).serves(format!("{whole}üü").as_bytes()));
        assert!(!served(&whole).serves(whole.as_bytes()[..61].as_ref()));
        assert!(Served(None).serves(b"any"));
    }
}
