//! A file of passwords, as libpq has it: `host:port:database:user:password` on each line, `*` for
//! any, a backslash before what is meant as it is. So that no password need stand in a command line,
//! which everybody on the host can read.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// A file that is no list of passwords is not read to its end.
const LINES_MAX: usize = 10_000;

/// Takes the password of a connection that names none, if a file has it: the one that the connection
/// string names, else `PGPASSFILE`, else `~/.pgpass`.
pub(super) fn add_password(config: &mut Config, named: Option<&Path>) {
    if config.get_password().is_some() {
        return;
    }
    let by_variable = || std::env::var_os("PGPASSFILE").map(PathBuf::from);
    let at_home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".pgpass"));
    let path = named
        .map(Path::to_owned)
        .or_else(by_variable)
        .or_else(at_home);
    if let Some(password) = path.and_then(|path| password(config, &path)) {
        config.password(password);
    }
}

fn password(config: &Config, path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o077 != 0 {
        let path = path.display();
        tracing::warn!(
            "the password file {path} is not used: it must be a plain file of mode 0600 or less"
        );
        return None;
    }
    let lines = BufReader::new(file).lines().take(LINES_MAX);
    lines
        .map_while(Result::ok)
        .find_map(|line| of_line(&line, config))
}

/// The password of a line that is for this connection.
fn of_line(line: &str, config: &Config) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let fields = fields(line.trim_end_matches('\r'));
    let [host, port, database, user, password] = fields.as_slice() else {
        return None;
    };
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        // As libpq has it, where the directory is the server's own.
        Host::Unix(_) => "localhost".to_owned(),
    });
    let ports = config.get_ports().iter().map(u16::to_string);
    let is = |field: &str, asked: &str| field == "*" || field == asked;
    let logged_in_as = config.get_user().unwrap_or_default();
    let fits = (host == "*" || hosts.clone().any(|name| name == *host))
        && (port == "*"
            || ports.clone().any(|number| number == *port)
            || config.get_ports().is_empty() && port == "5432")
        && is(database, config.get_dbname().unwrap_or(logged_in_as))
        && is(user, logged_in_as);
    (fits && !password.is_empty()).then(|| password.clone())
}

fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let ended = character == ':' && fields.len() < 5;
        if ended {
            fields.push(String::new());
            continue;
        }
        let meant = match character {
            '\\' => characters.next(),
            other => Some(other),
        };
        if let Some(last) = fields.last_mut() {
            last.extend(meant);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    fn found(url: &str, text: &str, mode: u32) -> Option<String> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("pgpass");
        let mut file = std::fs::OpenOptions::new();
        let mut file = file.create(true).write(true).mode(mode).open(&path);
        std::io::Write::write_all(file.as_mut().expect("writable"), text.as_bytes())
            .expect("writable");
        let mut config: Config = url.parse().expect("a connection string");
        add_password(&mut config, Some(&path));
        let password = config.get_password();
        password.map(|password| String::from_utf8_lossy(password).into_owned())
    }

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let url = "postgres://mover@db.example:5433/app";
        for (text, expected) in [
            ("db.example:5433:app:mover:secret\n", Some("secret")),
            ("# a comment\n*:*:*:*:any\n", Some("any")),
            ("db.example:5433:app:mover:a\\:b\\\\c:d", Some("a:b\\c:d")),
            (
                "other:5433:app:mover:no\n*:*:app:*:yes\n*:*:*:*:no",
                Some("yes"),
            ),
            ("db.example:5432:app:mover:no", None),
            ("db.example:5433:other:mover:no", None),
            ("db.example:5433:app:other:no", None),
            ("db.example:5433:app:mover", None),
            ("", None),
        ] {
            assert_eq!(found(url, text, 0o600).as_deref(), expected, "{text:?}");
        }
        // A default port, and a database that goes by the user's name.
        let short = "host=db.example user=mover";
        let line = "db.example:5432:mover:mover:secret";
        assert_eq!(found(short, line, 0o600).as_deref(), Some("secret"));
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used_and_a_password_that_is_said_wins() {
        let all = "*:*:*:*:secret";
        let url = "postgres://mover@db.example/app";
        assert_eq!(found(url, all, 0o644), None);
        let own = "postgres://mover:own@db.example/app";
        assert_eq!(found(own, all, 0o600).as_deref(), Some("own"));
    }
}
