//! Which of several hosts is the primary. Each is asked with the control connection's credentials, all at once, and of
//! those that would do the one of the newest timeline is taken: each promotion begins a timeline, so an old primary that
//! comes back after one has an older one than the standby that was promoted.
//!
//! It cannot fence anybody: an old primary that nobody has stopped, and that is the only one to be reached, is a primary.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config};

use super::error::{ControlError, said};
use super::passfile;
use super::url::{OWN_NAME, plain};
use crate::config::{Address, TargetSessionAttrs};
use crate::tls::control::{Connect, Wishes};

/// One that does not answer within this is taken to be down; it is asked again at the next look.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// Once one would do, the others have so long to say that they are of a newer timeline.
const OTHERS_GRACE: Duration = Duration::from_millis(500);

/// A host, and how it is asked.
#[derive(Clone, Debug)]
pub struct Candidate {
    config: Config,
    tls: Connect,
}

/// Which cluster a host is of, and how many promotions it has behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    pub system: i64,
    pub timeline: i64,
}

/// The newest timeline of each cluster that this process has connected to. Its connections come and go, each for its own work,
/// and none may go back to an old primary while the new one is away.
static NEWEST: Mutex<BTreeMap<i64, i64>> = Mutex::new(BTreeMap::new());

impl Lineage {
    fn is_outdated(self) -> bool {
        let newest = NEWEST.lock().unwrap_or_else(PoisonError::into_inner);
        let known = newest.get(&self.system);
        known.is_some_and(|timeline| self.timeline < *timeline)
    }

    fn remember(self) {
        let mut newest = NEWEST.lock().unwrap_or_else(PoisonError::into_inner);
        let timeline = newest.entry(self.system).or_insert(self.timeline);
        *timeline = self.timeline.max(*timeline);
    }
}

/// What a host says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub in_recovery: bool,
    pub read_only: bool,
    /// `None` where the server tells nobody, or is a standby.
    pub lineage: Option<Lineage>,
}

impl Standing {
    /// Whether it will do, in libpq's words.
    #[must_use]
    pub fn is(self, wanted: TargetSessionAttrs) -> bool {
        match wanted {
            TargetSessionAttrs::Any => true,
            TargetSessionAttrs::ReadWrite => !self.read_only && !self.in_recovery,
            TargetSessionAttrs::Primary => !self.in_recovery,
        }
    }

    /// Whether it may follow what was in use: the same cluster, and no older timeline.
    #[must_use]
    pub fn may_follow(self, known: Option<Lineage>) -> bool {
        match (known, self.lineage) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(known), Some(own)) => {
                own.system == known.system && own.timeline >= known.timeline
            }
        }
    }

    fn timeline(self) -> i64 {
        self.lineage.map_or(0, |lineage| lineage.timeline)
    }
}

/// A connection to a host that is asked again and again, and ends when its server does.
#[derive(Debug)]
pub struct Watched {
    client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

const STANDING: &str =
    "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'";

/// The file that is written to begins with its timeline. What `pg_control_checkpoint` says of it is that of the last checkpoint,
/// which a promotion does not wait for.
const LINEAGE: &str = "SELECT system_identifier, \
    ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint FROM pg_control_system()";

impl Watched {
    /// How the host stands now.
    pub async fn standing(&self) -> Result<Standing, ControlError> {
        let doing = "question whether it is the primary";
        let row = self.client.query_typed(STANDING, &[]).await;
        let row = row.map_err(ControlError::sql(doing))?;
        let (in_recovery, read_only) = match row.first() {
            Some(row) => (row.get(0), row.get(1)),
            None => (true, true),
        };
        let lineage = match in_recovery {
            true => None,
            false => match self.client.query_typed(LINEAGE, &[]).await {
                Ok(rows) => rows.first().map(|row| Lineage {
                    system: row.get(0),
                    timeline: row.get(1),
                }),
                // Some services let nobody ask for it: there it cannot tell one host from another.
                Err(error) if error.as_db_error().is_some() => None,
                Err(error) => return Err(ControlError::sql(doing)(error)),
            },
        };
        Ok(Standing {
            in_recovery,
            read_only,
            lineage,
        })
    }

    /// Completes when the server has ended the connection.
    pub async fn ended(&mut self) {
        // The task ends with the connection, however that ends.
        let _ = (&mut self.driver).await;
    }
}

/// What came of a look at all hosts.
#[derive(Debug)]
pub struct Look {
    pub found: Option<Primary>,
    /// What the others said, each by its place.
    pub told: Vec<(usize, String)>,
    /// Hosts that answered, and refused this connection for another reason than that they cannot serve now.
    pub undecided: Vec<usize>,
}

/// The host that will do.
#[derive(Debug)]
pub struct Primary {
    pub host: usize,
    pub connection: Watched,
    pub standing: Standing,
}

enum Answer {
    Will(Primary),
    WillNot(String),
    Undecided(String),
}

/// Asks all hosts at once. `known` is what was in use before.
pub async fn look(hosts: &[Candidate], wanted: TargetSessionAttrs, known: Option<Lineage>) -> Look {
    let look = asked_all(hosts, wanted, known).await;
    if let Some(lineage) = look.found.as_ref().and_then(|found| found.standing.lineage) {
        lineage.remember();
    }
    look
}

async fn asked_all(
    hosts: &[Candidate],
    wanted: TargetSessionAttrs,
    known: Option<Lineage>,
) -> Look {
    let mut look = Look {
        found: None,
        told: Vec::new(),
        undecided: Vec::new(),
    };
    let mut asked = JoinSet::new();
    for (host, candidate) in hosts.iter().cloned().enumerate() {
        asked.spawn(async move { (host, answer(&candidate, host, wanted, known).await) });
    }
    loop {
        let next = asked.join_next();
        let answered = match &look.found {
            None => next.await,
            // Whoever says nothing by then is not waited for.
            Some(_) => match tokio::time::timeout(OTHERS_GRACE, next).await {
                Ok(answered) => answered,
                Err(_) => return look,
            },
        };
        match answered {
            None => return look,
            Some(Err(error)) => tracing::error!(%error, "a question to a host broke"),
            Some(Ok((_, Answer::Will(primary)))) => {
                let is_better = look.found.as_ref().is_none_or(|found| {
                    let newer = (primary.standing.timeline(), found.host);
                    newer > (found.standing.timeline(), primary.host)
                });
                if is_better {
                    look.found = Some(primary);
                }
            }
            Some(Ok((host, Answer::WillNot(why)))) => look.told.push((host, why)),
            Some(Ok((host, Answer::Undecided(why)))) => {
                look.undecided.push(host);
                look.told.push((host, why));
            }
        }
    }
}

async fn answer(
    candidate: &Candidate,
    host: usize,
    wanted: TargetSessionAttrs,
    known: Option<Lineage>,
) -> Answer {
    let asked = async {
        let connection = connected(candidate).await?;
        let standing = connection.standing().await?;
        Ok((connection, standing))
    };
    match tokio::time::timeout(ASK_TIMEOUT, asked).await {
        Err(_) => Answer::WillNot(format!("no answer within {} s", ASK_TIMEOUT.as_secs())),
        Ok(Err(error)) => refusal(&error),
        Ok(Ok((_, standing))) if !standing.is(wanted) => {
            let why = match standing.in_recovery {
                true => "it is a standby",
                false => "its transactions may only read",
            };
            Answer::WillNot(why.to_owned())
        }
        Ok(Ok((_, standing)))
            if !standing.may_follow(known)
                || standing.lineage.is_some_and(Lineage::is_outdated) =>
        {
            let why = "it writes, but is another cluster or an older timeline than what was in use: \
                 is it an old primary that was not stopped?";
            Answer::WillNot(why.to_owned())
        }
        Ok(Ok((connection, standing))) => Answer::Will(Primary {
            host,
            connection,
            standing,
        }),
    }
}

/// A server that starts or stops serves nobody. One that has no room for this connection, or does not know its role, may well
/// serve others.
fn refusal(error: &ControlError) -> Answer {
    let serves = error
        .sqlstate()
        .is_some_and(|code| !code.code().starts_with("57P"));
    match serves {
        true => Answer::Undecided(error.to_string()),
        false => Answer::WillNot(error.to_string()),
    }
}

async fn connected(candidate: &Candidate) -> Result<Watched, ControlError> {
    let connected = candidate.config.connect(candidate.tls.clone()).await;
    let (client, connection) = connected.map_err(|error| match error.code() {
        Some(_) => ControlError::sql("login")(error),
        None => ControlError::Connect(said(&error)),
    })?;
    let driver = tokio::spawn(async move {
        // However it ended, whoever asks next finds it closed.
        let _ = connection.await;
    });
    Ok(Watched { client, driver })
}

/// The upstream's hosts, to be asked as the control URL says. A URL that names but one of them would lose sight of the
/// database when another is promoted.
pub fn upstream(url: &str, addresses: &[Address]) -> Result<Vec<Candidate>, ControlError> {
    let wishes = Wishes::read(url).map_err(|error| ControlError::Url(error.to_string()))?;
    let config = plain(&wishes)?;
    if let ([Host::Tcp(host)], [_, _, ..]) = (config.get_hosts(), addresses) {
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let is_this = |address: &Address| {
            address.host() == Some(host.as_str()) && address.port() == Some(port)
        };
        if addresses.iter().any(is_this) {
            let all: Vec<String> = addresses.iter().map(Address::to_string).collect();
            return Err(ControlError::Refused(format!(
                "the control URL names {host}:{port} alone, of the upstream's hosts {}: commands and proxies would not \
                 find the primary once another is promoted. Name all of them, as in postgres://user@{}/database",
                all.join(", "),
                all.join(",")
            )));
        }
    }
    let candidate = |address: &Address| {
        let host = match address {
            Address::Tcp(_) => Host::Tcp(address.host().unwrap_or_default().to_owned()),
            Address::Unix(path) => Host::Unix(path.parent().unwrap_or(path).to_owned()),
        };
        let port = address.port().unwrap_or(5432);
        asked(&config, &wishes, (host, port, None))
    };
    addresses.iter().map(candidate).collect()
}

/// The hosts of a control URL that names several; none where it names one, which needs no choice.
pub(super) fn named(config: &Config, wishes: &Wishes) -> Result<Vec<Candidate>, ControlError> {
    let hosts = config.get_hosts();
    if hosts.len() < 2 {
        return Ok(Vec::new());
    }
    let ports = config.get_ports();
    let one = |(index, host): (usize, &Host)| {
        let port = ports.get(index).or(ports.first()).copied();
        let address = config.get_hostaddrs().get(index).copied();
        asked(
            config,
            wishes,
            (host.clone(), port.unwrap_or(5432), address),
        )
    };
    hosts.iter().enumerate().map(one).collect()
}

/// What hosts said, each with its name.
#[must_use]
pub fn told(hosts: &[Candidate], told: &[(usize, String)]) -> String {
    let named = told.iter().filter_map(|(host, said)| {
        let config = &hosts.get(*host)?.config;
        let name = match config.get_hosts().first()? {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => format!("unix:{}", path.display()),
        };
        Some(format!("{name}:{}: {said}", config.get_ports().first()?))
    });
    named.collect::<Vec<_>>().join("; ")
}

/// The configuration with which the chosen host is connected to.
pub(super) fn chosen(candidate: &Candidate) -> &Config {
    &candidate.config
}

fn asked(
    config: &Config,
    wishes: &Wishes,
    (host, port, address): (Host, u16, Option<std::net::IpAddr>),
) -> Result<Candidate, ControlError> {
    let mut one = Config::new();
    match host {
        Host::Tcp(name) => one.host(name),
        Host::Unix(path) => one.host_path(path),
    };
    one.port(port);
    if let Some(address) = address {
        one.hostaddr(address);
    }
    if let Some(user) = config.get_user() {
        one.user(user);
    }
    if let Some(dbname) = config.get_dbname() {
        one.dbname(dbname);
    }
    if let Some(options) = config.get_options() {
        one.options(options);
    }
    if let Some(password) = config.get_password() {
        one.password(password);
    }
    if let Some(timeout) = config.get_connect_timeout() {
        one.connect_timeout(*timeout);
    }
    if let Some(timeout) = config.get_tcp_user_timeout() {
        one.tcp_user_timeout(*timeout);
    }
    one.ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding())
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle());
    let name = config.get_application_name();
    one.application_name(name.map_or_else(|| format!("{OWN_NAME}primary"), str::to_owned));
    passfile::add_password(&mut one, wishes.passfile.as_deref());
    let tls = wishes.connect();
    let tls = tls.map_err(|error| ControlError::Connect(format!("TLS: {error}")))?;
    Ok(Candidate { config: one, tls })
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "postgres://me:secret@db1:1,db2:2/app?sslmode=disable";

    fn addresses(all: &[&str]) -> Vec<Address> {
        all.iter().map(|one| one.parse().expect(one)).collect()
    }

    #[test]
    fn each_host_is_asked_by_its_own_name_with_the_control_urls_credentials() {
        let all = upstream(URL, &addresses(&["a:3", "unix:/s/.s.PGSQL.4"])).expect("hosts");
        let [tcp, socket] = all.as_slice() else {
            panic!("{all:?}");
        };
        assert_eq!(tcp.config.get_hosts(), [Host::Tcp("a".to_owned())]);
        assert_eq!(tcp.config.get_ports(), [3]);
        assert_eq!(socket.config.get_hosts(), [Host::Unix("/s".into())]);
        assert_eq!(socket.config.get_ports(), [4]);
        for one in &all {
            assert_eq!(one.config.get_user(), Some("me"));
            assert_eq!(one.config.get_password(), Some(&b"secret"[..]));
            assert_eq!(one.config.get_dbname(), Some("app"));
        }
    }

    #[test]
    fn a_control_url_that_names_one_of_several_hosts_is_refused() {
        let several = addresses(&["db1:1", "db2:2"]);
        let error = upstream("postgres://me:secret@db2:2/app", &several).expect_err("one of two");
        let error = error.to_string();
        assert!(error.contains("db1:1,db2:2"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        // A name that leads to whichever is the primary is another matter.
        assert!(upstream("postgres://me@db/app", &several).is_ok());
        assert!(upstream(URL, &several).is_ok());
    }

    #[test]
    fn what_will_do_is_what_libpq_says() {
        use TargetSessionAttrs::{Any, Primary, ReadWrite};
        for in_recovery in [false, true] {
            for read_only in [false, true] {
                let standing = Standing {
                    in_recovery,
                    read_only,
                    lineage: None,
                };
                assert!(standing.is(Any));
                assert_eq!(standing.is(Primary), !in_recovery);
                assert_eq!(standing.is(ReadWrite), !in_recovery && !read_only);
            }
        }
    }

    #[test]
    fn what_a_process_has_seen_of_a_cluster_none_of_its_connections_goes_behind() {
        let of = |timeline| Lineage {
            system: -1,
            timeline,
        };
        assert!(!of(1).is_outdated());
        of(2).remember();
        of(1).remember();
        assert!(of(1).is_outdated());
        assert!(!of(2).is_outdated());
    }

    #[test]
    fn an_older_timeline_and_another_cluster_do_not_follow() {
        let of = |system, timeline| Some(Lineage { system, timeline });
        for (lineage, known, follows) in [
            (of(1, 1), None, true),
            (None, None, true),
            (of(1, 2), of(1, 1), true),
            (of(1, 2), of(1, 2), true),
            (of(1, 1), of(1, 2), false),
            (of(2, 3), of(1, 2), false),
            (None, of(1, 2), false),
        ] {
            let standing = Standing {
                in_recovery: false,
                read_only: false,
                lineage,
            };
            assert_eq!(standing.may_follow(known), follows, "{lineage:?} {known:?}");
        }
    }
}
