//! What a user of the console asks for, read from the text that he typed.
//!
//! Words in any case, names in double quotes where they need them, a semicolon or none, comments as SQL has them.

use rewrite_rules::Phase;

use super::line::Refusal;
use super::words::{Placed, Rest, Token, syntax, tokens};

/// What may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    Backfill,
    Canary,
    Clients,
    Config,
    Databases,
    Divergence,
    Events,
    Fallbacks,
    Fences,
    Gates,
    Help,
    Instances,
    Lists,
    Migrations,
    Plans,
    Pools,
    Servers,
    Sessions,
    State,
    Statements,
    Stats,
    StatsAverages,
    StatsTotals,
    Users,
    Version,
}

impl Show {
    /// Each with its word.
    pub const ALL: [(&'static str, Show); 25] = [
        ("backfill", Show::Backfill),
        ("canary", Show::Canary),
        ("clients", Show::Clients),
        ("config", Show::Config),
        ("databases", Show::Databases),
        ("divergence", Show::Divergence),
        ("events", Show::Events),
        ("fallbacks", Show::Fallbacks),
        ("fences", Show::Fences),
        ("gates", Show::Gates),
        ("help", Show::Help),
        ("instances", Show::Instances),
        ("lists", Show::Lists),
        ("migrations", Show::Migrations),
        ("plans", Show::Plans),
        ("pools", Show::Pools),
        ("servers", Show::Servers),
        ("sessions", Show::Sessions),
        ("state", Show::State),
        ("statements", Show::Statements),
        ("stats", Show::Stats),
        ("stats_averages", Show::StatsAverages),
        ("stats_totals", Show::StatsTotals),
        ("users", Show::Users),
        ("version", Show::Version),
    ];

    /// Those of which one migration's part may be asked for.
    fn takes_migration(self) -> bool {
        match self {
            Show::Backfill
            | Show::Canary
            | Show::Divergence
            | Show::Events
            | Show::Fallbacks
            | Show::Fences
            | Show::Gates
            | Show::Instances
            | Show::Migrations
            | Show::Plans
            | Show::Statements => true,
            Show::Clients
            | Show::Config
            | Show::Databases
            | Show::Help
            | Show::Lists
            | Show::Pools
            | Show::Servers
            | Show::Sessions
            | Show::State
            | Show::Stats
            | Show::StatsAverages
            | Show::StatsTotals
            | Show::Users
            | Show::Version => false,
        }
    }
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Show {
        what: Show,
        migration: Option<String>,
    },
    Advance {
        migration: String,
        to: Option<Phase>,
    },
    Rollback {
        migration: String,
        to: Option<Phase>,
    },
    /// Some sessions are to read as in the next phase; `None`: none any more.
    Canary {
        migration: String,
        wanted: Option<CanaryWanted>,
    },
    Pause,
    Resume,
    Reload,
    Kill {
        session: u64,
    },
    /// What drivers say on connecting and between statements; it changes nothing here.
    Set {
        name: String,
        value: String,
    },
    /// A setting's value, as a server would show it.
    ShowSetting(Setting),
    Select(Constant),
    /// `BEGIN`, and what ends a transaction: there is nothing in one, but drivers have them.
    Begin,
    Commit,
    RollbackTransaction,
    /// `DEALLOCATE` of one, or of all.
    Deallocate(Option<String>),
    /// `DISCARD ALL`, `RESET ALL`, and the like.
    Tag(&'static str),
}

/// Who is to read ahead. What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CanaryWanted {
    /// Millionths of all sessions.
    pub share: Option<u32>,
    pub users: Vec<String>,
    pub applications: Vec<String>,
}

/// What drivers take for the server's version: they look at the number, by which they know what a server can.
pub(super) const SERVER_VERSION: &str = concat!("14.0 (Crossfade ", env!("CARGO_PKG_VERSION"), ")");

/// Settings that are as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub name: &'static str,
    pub value: &'static str,
}

/// What drivers read on connecting.
pub(super) const SETTINGS: [Setting; 12] = [
    Setting {
        name: "server_version",
        value: SERVER_VERSION,
    },
    Setting {
        name: "server_encoding",
        value: "UTF8",
    },
    Setting {
        name: "client_encoding",
        value: "UTF8",
    },
    Setting {
        name: "DateStyle",
        value: "ISO, MDY",
    },
    Setting {
        name: "IntervalStyle",
        value: "postgres",
    },
    Setting {
        name: "TimeZone",
        value: "UTC",
    },
    Setting {
        name: "integer_datetimes",
        value: "on",
    },
    Setting {
        name: "standard_conforming_strings",
        value: "on",
    },
    // What libpq asks by for a server that can be written to.
    Setting {
        name: "in_hot_standby",
        value: "off",
    },
    Setting {
        name: "default_transaction_read_only",
        value: "off",
    },
    Setting {
        name: "is_superuser",
        value: "off",
    },
    Setting {
        name: "transaction_isolation",
        value: "read committed",
    },
];

/// A SELECT that is known: what drivers and pools ask to see whether somebody is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Constant {
    One,
    Version,
    User,
    Database,
}

/// Settings of a session that a driver may set, to whatever.
const SETTABLE: [&str; 16] = [
    "application_name",
    "bytea_output",
    "client_min_messages",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "jit",
    "lock_timeout",
    "names",
    "role",
    "row_security",
    "search_path",
    "statement_timeout",
    "synchronize_seqscans",
    "timezone",
];

/// The commands of a text, in order.
pub(super) fn commands(text: &str) -> Result<Vec<Command>, Refusal> {
    let mut all = Vec::new();
    for statement in tokens(text)?.split(|placed| placed.token == Token::Sign(';')) {
        if !statement.is_empty() {
            all.push(command(statement)?);
        }
    }
    Ok(all)
}

fn command(statement: &[Placed]) -> Result<Command, Refusal> {
    let mut rest = Rest(statement);
    let at = statement.first().map_or(1, |placed| placed.at);
    let Some(Placed {
        token: Token::Word(verb),
        ..
    }) = rest.next()
    else {
        return Err(syntax("syntax error: a command begins with a word", at));
    };
    let command = match verb.as_str() {
        "show" => show(&mut rest, at)?,
        "advance" => {
            let (migration, to) = walk(&mut rest)?;
            Command::Advance { migration, to }
        }
        "rollback" if is_of_transaction(&rest) => Command::RollbackTransaction,
        "rollback" => {
            let (migration, to) = walk(&mut rest)?;
            Command::Rollback { migration, to }
        }
        "canary" => canary(&mut rest)?,
        "abort" => Command::RollbackTransaction,
        "begin" | "start" => Command::Begin,
        "commit" | "end" => Command::Commit,
        "pause" | "resume" if !rest.0.is_empty() => {
            let what = rest.all();
            return Err(Refusal::new(
                "0A000",
                format!("{verb} is for all sessions of this proxy, and not for {what} alone"),
            )
            .hint(format!("Say {verb} without a name.")));
        }
        "pause" => Command::Pause,
        "resume" => Command::Resume,
        "reload" => Command::Reload,
        "kill" => kill(&mut rest)?,
        "set" => set(&mut rest, at)?,
        "reset" => Command::Tag("RESET"),
        "discard" => Command::Tag("DISCARD ALL"),
        "unlisten" => Command::Tag("UNLISTEN"),
        "deallocate" => {
            rest.takes("prepare");
            let name = rest.name("a prepared statement")?;
            Command::Deallocate(Some(name).filter(|name| name != "all"))
        }
        "select" => select(&mut rest, at)?,
        "help" => Command::Show {
            what: Show::Help,
            migration: None,
        },
        _ => {
            let said: String = verb.chars().take(40).collect();
            return Err(syntax(format!("the console has no command \"{said}\""), at));
        }
    };
    match command {
        // What a driver says behind these means nothing here.
        Command::Begin | Command::Commit | Command::RollbackTransaction | Command::Tag(_) => {}
        _ => rest.ends()?,
    }
    Ok(command)
}

/// Whether nothing is named that could go back but a transaction.
fn is_of_transaction(rest: &Rest<'_>) -> bool {
    match rest.word() {
        None => rest.0.is_empty(),
        Some(word) => matches!(word, "transaction" | "work" | "and"),
    }
}

fn walk(rest: &mut Rest<'_>) -> Result<(String, Option<Phase>), Refusal> {
    let migration = rest.name("a migration")?;
    if !rest.takes("to") {
        return Ok((migration, None));
    }
    let at = rest.0.first().map_or(1, |placed| placed.at);
    let phase = rest.name("a phase")?;
    match phase.parse() {
        Ok(phase) => Ok((migration, Some(phase))),
        Err(said) => Err(Refusal {
            position: Some(at),
            ..Refusal::new("22023", said)
        }),
    }
}

/// `CANARY m 5 %`, `CANARY m USER tester APPLICATION report`, `CANARY m OFF`.
fn canary(rest: &mut Rest<'_>) -> Result<Command, Refusal> {
    let migration = rest.name("a migration")?;
    let at = rest.0.first().map_or(1, |placed| placed.at);
    if rest.takes("off") {
        return Ok(Command::Canary {
            migration,
            wanted: None,
        });
    }
    let mut wanted = CanaryWanted::default();
    if let Some(percent) = rest.word().and_then(|word| word.parse::<f64>().ok()) {
        rest.next();
        let is_percent = rest.0.first().map(|placed| &placed.token) == Some(&Token::Sign('%'));
        if !is_percent || !(0.0..=100.0).contains(&percent) {
            return Err(syntax("a share is written as 5 %, from 0 % to 100 %", at));
        }
        rest.next();
        wanted.share = Some((percent * 10_000.0).round() as u32);
    }
    loop {
        if rest.takes("user") {
            wanted.users.push(rest.name("a role")?);
        } else if rest.takes("application") {
            wanted.applications.push(rest.name("an application")?);
        } else {
            break;
        }
    }
    if wanted == CanaryWanted::default() {
        let expected =
            "CANARY takes a migration and a share (5 %), USER name, APPLICATION name, or OFF";
        return Err(syntax(expected, at));
    }
    Ok(Command::Canary {
        migration,
        wanted: Some(wanted),
    })
}

fn kill(rest: &mut Rest<'_>) -> Result<Command, Refusal> {
    rest.takes("session");
    let at = rest.0.first().map_or(1, |placed| placed.at);
    let number = rest.word().and_then(|word| word.parse().ok());
    let Some(session) = number else {
        return Err(Refusal {
            position: Some(at),
            ..Refusal::new("42601", "KILL takes the number of a session")
                .hint("SHOW SESSIONS has the numbers, as id.")
        });
    };
    rest.next();
    Ok(Command::Kill { session })
}

fn show(rest: &mut Rest<'_>, at: usize) -> Result<Command, Refusal> {
    let Some(word) = rest.word() else {
        return Err(syntax("SHOW what?", at));
    };
    let place = rest.0.first().map_or(at, |placed| placed.at);
    rest.next();
    if let Some((_, what)) = Show::ALL.into_iter().find(|(name, _)| *name == word) {
        let migration = match what.takes_migration() && !rest.0.is_empty() {
            true => Some(rest.name("a migration")?),
            false => None,
        };
        return Ok(Command::Show { what, migration });
    }
    let setting = match word {
        "transaction" if rest.takes("isolation") && rest.takes("level") => "transaction_isolation",
        other => other,
    };
    let known = |of: &&Setting| of.name.eq_ignore_ascii_case(setting);
    match SETTINGS.iter().find(known) {
        Some(setting) => Ok(Command::ShowSetting(*setting)),
        None => {
            let said: String = word.chars().take(40).collect();
            Err(syntax(format!("there is no \"{said}\" to be shown"), place))
        }
    }
}

/// What a driver sets on connecting is taken where it changes no answer, and refused where it would.
fn set(rest: &mut Rest<'_>, at: usize) -> Result<Command, Refusal> {
    if rest.takes("session") && rest.takes("characteristics") {
        rest.all();
        return Ok(Command::Tag("SET"));
    }
    rest.takes("local");
    let mut name = rest.name("a setting")?.to_lowercase();
    if name == "time" && rest.takes("zone") {
        name = "timezone".to_owned();
    }
    if name == "transaction" {
        rest.all();
        return Ok(Command::Tag("SET"));
    }
    if !rest.takes("to")
        && let Some(Token::Sign('=')) = rest.0.first().map(|placed| &placed.token)
    {
        rest.next();
    }
    let value = rest.all();
    let lower = value.to_lowercase();
    let fits = match name.as_str() {
        "client_encoding" | "names" => matches!(lower.as_str(), "utf8" | "utf-8" | "unicode"),
        "datestyle" => lower.starts_with("iso"),
        "intervalstyle" => lower == "postgres",
        "standard_conforming_strings" => matches!(lower.as_str(), "on" | "true" | "1"),
        other if SETTABLE.contains(&other) => true,
        _ => {
            return Err(Refusal {
                position: Some(at),
                ..Refusal::new("42704", format!("the console has no setting \"{name}\""))
                    .hint("The proxy's own settings stand in its configuration file: SHOW CONFIG.")
            });
        }
    };
    if !fits && lower != "default" {
        let expected = "client_encoding UTF8, DateStyle ISO, IntervalStyle postgres, standard_conforming_strings on";
        return Err(Refusal::new(
            "22023",
            format!("the console has {expected}: not {name} = {value}"),
        ));
    }
    Ok(Command::Set { name, value })
}

fn select(rest: &mut Rest<'_>, at: usize) -> Result<Command, Refusal> {
    let said = rest.all().to_lowercase();
    let said: String = said.chars().filter(|c| !c.is_whitespace()).collect();
    let said = said.strip_prefix("pg_catalog.").unwrap_or(&said);
    match said {
        "1" => Ok(Command::Select(Constant::One)),
        "version()" => Ok(Command::Select(Constant::Version)),
        "current_user" | "session_user" | "user" => Ok(Command::Select(Constant::User)),
        "current_database()" | "current_catalog" => Ok(Command::Select(Constant::Database)),
        _ => Err(syntax(
            "the console holds no tables: SELECT 1 and version() is all it knows",
            at,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Command {
        let all = commands(text).unwrap_or_else(|refusal| panic!("{text}: {refusal:?}"));
        assert_eq!(all.len(), 1, "{text}");
        all.into_iter().next().expect("one")
    }

    fn shows(what: Show, migration: Option<&str>) -> Command {
        Command::Show {
            what,
            migration: migration.map(str::to_owned),
        }
    }

    #[test]
    fn case_quotes_comments_and_semicolons_do_not_matter() {
        for text in [
            "SHOW MIGRATIONS",
            "show migrations;",
            " Show\n\tMigrations ; ;",
            "/* who */ SHOW migrations -- now",
        ] {
            assert_eq!(one(text), shows(Show::Migrations, None), "{text}");
        }
        let advance = Command::Advance {
            migration: "Odd Name\"".to_owned(),
            to: Some(Phase::DualWrite),
        };
        assert_eq!(one("advance \"Odd Name\"\"\" to DUAL_WRITE;"), advance);
        let gates = shows(Show::Gates, Some("iso_agents"));
        assert_eq!(one("SHOW GATES Iso_Agents"), gates);
    }

    #[test]
    fn every_word_of_show_is_read() {
        for (word, what) in Show::ALL {
            assert_eq!(one(&format!("SHOW {word};")), shows(what, None));
        }
    }

    #[test]
    fn a_canary_is_a_share_names_or_off() {
        let canary = |share, users: &[&str], applications: &[&str]| Command::Canary {
            migration: "m".to_owned(),
            wanted: Some(CanaryWanted {
                share,
                users: users.iter().map(|name| (*name).to_owned()).collect(),
                applications: applications.iter().map(|name| (*name).to_owned()).collect(),
            }),
        };
        for (text, expected) in [
            ("CANARY m 5 %", canary(Some(50_000), &[], &[])),
            ("canary m 12.5%;", canary(Some(125_000), &[], &[])),
            ("CANARY m 0% USER tester", canary(Some(0), &["tester"], &[])),
            (
                "CANARY m USER a USER \"B\" APPLICATION \"my app\"",
                canary(None, &["a", "B"], &["my app"]),
            ),
        ] {
            assert_eq!(one(text), expected, "{text}");
        }
        let off = Command::Canary {
            migration: "m".to_owned(),
            wanted: None,
        };
        assert_eq!(one("CANARY m OFF"), off);
        for text in [
            "CANARY",
            "CANARY m",
            "CANARY m 5",
            "CANARY m 101 %",
            "CANARY m USER",
            "CANARY m off now",
        ] {
            assert_eq!(commands(text).expect_err(text).sqlstate, "42601", "{text}");
        }
    }

    #[test]
    fn rollback_of_nothing_is_a_transactions() {
        let back = |migration: &str| Command::Rollback {
            migration: migration.to_owned(),
            to: None,
        };
        for text in [
            "ROLLBACK",
            "rollback;",
            "ROLLBACK WORK",
            "ROLLBACK TRANSACTION",
            "ABORT",
        ] {
            assert_eq!(one(text), Command::RollbackTransaction, "{text}");
        }
        assert_eq!(one("ROLLBACK iso_agents"), back("iso_agents"));
        assert_eq!(one("ROLLBACK \"work\""), back("work"));
    }

    #[test]
    fn what_drivers_say_on_connecting_is_taken() {
        for text in [
            "SET client_encoding TO 'UTF8'",
            "SET client_encoding = 'utf-8'",
            "SET NAMES 'UTF8'",
            "SET extra_float_digits = 3",
            "SET application_name = 'PostgreSQL JDBC Driver'",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            "SET DateStyle='ISO'",
            "SET TIME ZONE 'Europe/Vienna'",
            "SET standard_conforming_strings TO on",
            "SELECT 1",
            "select version();",
            "SELECT pg_catalog.version()",
            "SHOW server_version",
            "SHOW TRANSACTION ISOLATION LEVEL",
            "show standard_conforming_strings",
            "BEGIN",
            "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
            "START TRANSACTION",
            "COMMIT",
            "DEALLOCATE ALL",
            "DEALLOCATE \"_pg3_0\"",
            "DISCARD ALL",
            "RESET ALL",
        ] {
            one(text);
        }
        assert_eq!(commands(" ;; -- nothing"), Ok(vec![]));
        assert_eq!(
            commands("SHOW VERSION; SHOW LISTS").map(|all| all.len()),
            Ok(2)
        );
    }

    #[test]
    fn what_is_not_known_is_a_syntax_error_that_names_help_and_the_place() {
        for (text, at) in [
            ("FROBNICATE", 1),
            ("  SHOW NONSENSE", 8),
            ("SHOW", 1),
            ("SHOW VERSION now", 14),
            ("ADVANCE", 1),
            ("ADVANCE a TO", 1),
            ("SELECT * FROM pg_class", 1),
            ("42", 1),
            ("\"SHOW\" VERSION", 1),
            ("SHOW 'VERSION", 6),
            ("SHOW /* VERSION", 6),
            ("täter", 1),
        ] {
            let refusal = commands(text).expect_err(text);
            assert_eq!(refusal.sqlstate, "42601", "{text}");
            assert!(refusal.hint.contains("SHOW HELP"), "{text}: {refusal:?}");
            assert_eq!(refusal.position, Some(at), "{text}: {refusal:?}");
        }
    }

    #[test]
    fn what_would_change_answers_or_means_another_thing_is_refused() {
        for (text, sqlstate) in [
            ("SET client_encoding = 'LATIN1'", "22023"),
            ("SET DateStyle = 'German'", "22023"),
            ("SET max_client_conn = 10", "42704"),
            ("ADVANCE a TO nowhere", "22023"),
            ("PAUSE mydb", "0A000"),
            ("RESUME mydb", "0A000"),
            ("KILL mydb", "42601"),
            ("KILL -1", "42601"),
        ] {
            let refusal = commands(text).expect_err(text);
            assert_eq!(refusal.sqlstate, sqlstate, "{text}: {refusal:?}");
        }
        assert_eq!(one("KILL 12"), Command::Kill { session: 12 });
        assert_eq!(one("kill session 12;"), Command::Kill { session: 12 });
    }
}
