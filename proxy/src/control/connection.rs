//! The connections of Crossfade's own work: single ones, and the pool for reads side by side.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Config, GenericClient, IsolationLevel, Transaction};

use super::error::{ControlError, said};
use super::primary;
use super::url::{CONNECT_TIMEOUT, OWN_NAME, config, plain};
use crate::config::TargetSessionAttrs;
use crate::tls::control::{Connect, Wishes};

/// Values are compared and kept as text, so every connection must write them the same way. The
/// `search_path` stays the role's own: SQL in rule files may name types and functions plainly.
/// A row that row-level security would hide from the role is an error, not a row left out. What is
/// done here is an operator's doing (`guard`), and nobody asks for `lastval()` here, which lenses need not keep then. What compares dozens of columns is costly in the planner's eyes,
/// also of a few rows: compiling it took twenty seconds where running it took none.
const SESSION: &str = "SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; \
     SET timezone = 'UTC'; SET extra_float_digits = 1; SET client_min_messages = warning; \
     SET row_security = off; SET lock_timeout = 0; SET statement_timeout = 0; \
     SET idle_in_transaction_session_timeout = 0; SET crossfade.ddl = 'on'; \
     SET crossfade.lastval = 'off'; SET jit = off";

/// Begins a transaction that others wait for: whoever is stopped within it (a host that hangs, Ctrl-Z) is put out of it
/// by the server.
pub(super) const BEGIN_SHORT: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// A connection and the task that drives it; dropping it closes both.
#[derive(Debug)]
pub struct Control {
    pub client: Client,
    driver: JoinHandle<()>,
    notified: Arc<Notify>,
}

impl Control {
    /// Ends the connection: whoever uses it next finds it closed.
    pub fn close(&self) {
        self.driver.abort();
    }

    /// Waits for a NOTIFY on a channel that this connection listens to, or for one that has come since the last wait.
    pub async fn notified(&self) {
        self.notified.notified().await;
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl std::ops::Deref for Control {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl std::ops::DerefMut for Control {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// Whether a client that calls itself so is one of Crossfade's own connections.
#[must_use]
pub fn is_own(application_name: &[u8]) -> bool {
    application_name.starts_with(OWN_NAME.as_bytes())
}

/// Connects for one kind of work, which `pg_stat_activity` shows as `crossfade <work>`.
pub async fn connect(url: &str, work: &str) -> Result<Control, ControlError> {
    open(&ControlTarget::new(url, work)?, "").await
}

/// The database that a connection string leads to: as everywhere, the user's name where it names none.
pub fn database_of(url: &str) -> Result<String, ControlError> {
    let wishes = Wishes::read(url).map_err(|error| ControlError::Url(error.to_string()))?;
    let config = config(&wishes)?;
    let named = config.get_dbname().or(config.get_user());
    let unnamed = || ControlError::Url("it names no database".to_owned());
    named.map(str::to_owned).ok_or_else(unnamed)
}

/// Where to connect and how that is encrypted.
#[derive(Clone, Debug)]
struct ControlTarget {
    config: Config,
    /// The hosts that the URL names, where there are several.
    hosts: Vec<primary::Candidate>,
    work: String,
    tls: Connect,
}

impl ControlTarget {
    fn new(url: &str, work: &str) -> Result<ControlTarget, ControlError> {
        let wishes = Wishes::read(url).map_err(|error| ControlError::Url(error.to_string()))?;
        let mut config = config(&wishes)?;
        config.application_name(format!("{OWN_NAME}{work}"));
        let tls = wishes.connect();
        let tls = tls.map_err(|error| ControlError::Connect(format!("TLS: {error}")))?;
        let mut unproven = plain(&wishes)?;
        unproven.application_name(format!("{OWN_NAME}{work}"));
        Ok(ControlTarget {
            hosts: primary::named(&unproven, &wishes)?,
            config,
            work: work.to_owned(),
            tls,
        })
    }
}

/// The host to connect to: of several the primary, for everything that is done here may write.
async fn at(target: &ControlTarget) -> Result<&Config, ControlError> {
    if target.hosts.is_empty() {
        return Ok(&target.config);
    }
    let look = primary::look(&target.hosts, TargetSessionAttrs::ReadWrite, None).await;
    match look.found {
        Some(found) => Ok(primary::chosen(&target.hosts[found.host])),
        None => Err(ControlError::Connect(format!(
            "none of its hosts is a primary: {}",
            primary::told(&target.hosts, &look.told)
        ))),
    }
}

async fn open(target: &ControlTarget, more: &str) -> Result<Control, ControlError> {
    let config = at(target).await?;
    // The timeout also covers a server that accepts and then says nothing.
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, config.connect(target.tls.clone()))
        .await
        .map_err(|_| ControlError::Connect("it did not answer in time".to_owned()))?;
    let (client, connection) = connected.map_err(|error| ControlError::Connect(said(&error)))?;
    let notified = Arc::new(Notify::new());
    let tells = Arc::clone(&notified);
    let driver = tokio::spawn(async move {
        let mut connection = connection;
        loop {
            match std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                Some(Ok(AsyncMessage::Notification(_))) => tells.notify_one(),
                // Our own functions' notices are for proxies; the driver would log them.
                Some(Ok(_)) => {}
                // An error here reaches whoever uses the client as a closed connection.
                Some(Err(error)) => {
                    tracing::debug!(error = said(&error), "a control connection ended");
                    return;
                }
                None => return,
            }
        }
    });
    let control = Control {
        client,
        driver,
        notified,
    };
    control
        .batch_execute(SESSION)
        .await
        .map_err(ControlError::sql("settings of the session"))?;
    // Before the settings of its work, which may be to read only.
    put_down(&control, &target.work).await?;
    control
        .batch_execute(more)
        .await
        .map_err(ControlError::sql("settings of the session"))?;
    Ok(control)
}

/// The schema's owner, whether this role can rely on it, and whether sessions are put down there.
///
/// Who owns a schema can put triggers on its tables, which would run with this role's rights: before
/// the first preparation anybody with CREATE on the database could have made it.
const SCHEMA: &str = "\
SELECT pg_get_userbyid(n.nspowner)::text, o.rolsuper OR o.oid = me.oid OR NOT me.rolsuper AND pg_has_role(o.oid, 'USAGE'), \
    to_regclass('crossfade.sessions') IS NOT NULL \
FROM pg_namespace AS n JOIN pg_roles AS o ON o.oid = n.nspowner JOIN pg_roles AS me ON me.rolname = current_user \
WHERE n.nspname = 'crossfade'";

/// Puts this session down among Crossfade's own, and takes out some whose process is gone; two
/// that do so at once do not wait for each other.
const OWN: &str = "\
WITH gone AS (SELECT s.pid, s.began FROM crossfade.sessions AS s WHERE NOT EXISTS (SELECT FROM pg_stat_activity AS a \
    WHERE a.pid = s.pid AND coalesce(a.backend_start, s.began) = s.began) LIMIT 100 FOR UPDATE SKIP LOCKED), \
forgotten AS (DELETE FROM crossfade.sessions AS s USING gone AS g WHERE (s.pid, s.began) = (g.pid, g.began)) \
INSERT INTO crossfade.sessions (pid, began, work) \
SELECT a.pid, a.backend_start, $1 FROM pg_stat_activity AS a WHERE a.pid = pg_backend_pid() ON CONFLICT DO NOTHING";

async fn put_down(control: &Control, work: &str) -> Result<(), ControlError> {
    let sql = || ControlError::sql("note of the session");
    let Some(schema) = control.query_typed_opt(SCHEMA, &[]).await.map_err(sql())? else {
        return Ok(()); // not prepared yet: nothing is counted either
    };
    let (owner, trusted, is_there): (String, bool, bool) =
        (schema.get(0), schema.get(1), schema.get(2));
    if !trusted {
        return Err(ControlError::Refused(format!(
            "schema crossfade belongs to {owner}, whose triggers would run with the rights of the control \
             connection's role: connect as {owner}, or have a superuser look at the schema and run \
             ALTER SCHEMA crossfade OWNER TO the control connection's role"
        )));
    }
    if is_there {
        control
            .query_typed(OWN, &[(&work, Type::TEXT)])
            .await
            .map_err(sql())?;
    }
    Ok(())
}

/// The host that is spoken to, as it calls itself; `None`: by a socket file.
pub async fn address(client: &Client) -> Result<Option<String>, ControlError> {
    let sql = "SELECT host(inet_server_addr()) || ':' || inet_server_port()";
    let row = client.query_one(sql, &[]).await;
    Ok(row
        .map_err(ControlError::sql("address of the server"))?
        .get(0))
}

/// A transaction in one snapshot: REPEATABLE READ.
pub async fn snapshot<'c>(
    client: &'c mut Client,
    doing: &'static str,
) -> Result<Transaction<'c>, ControlError> {
    client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .start()
        .await
        .map_err(ControlError::sql(doing))
}

/// What this session has scanned and written is in the server's counters once its transaction has
/// ended. Servers before 15 know no such wish, and collect by themselves within a second.
pub async fn flush_counters(client: &impl GenericClient) -> Result<(), ControlError> {
    client
        .batch_execute(
            "DO $$ BEGIN PERFORM pg_stat_force_next_flush(); \
             EXCEPTION WHEN undefined_function THEN NULL; END $$",
        )
        .await
        .map_err(ControlError::sql("flush of the counters"))
}

/// Makes connections for a pool; whether one is alive is known without asking the server.
#[derive(Clone, Debug)]
pub struct Manager {
    target: ControlTarget,
    settings: &'static str,
}

impl Manager {
    /// `settings` are `SET` statements of this kind of work.
    pub fn new(url: &str, work: &str, settings: &'static str) -> Result<Self, ControlError> {
        let target = ControlTarget::new(url, work)?;
        Ok(Manager { target, settings })
    }
}

impl bb8::ManageConnection for Manager {
    type Connection = Control;
    type Error = ControlError;

    async fn connect(&self) -> Result<Control, ControlError> {
        open(&self.target, self.settings).await
    }

    async fn is_valid(&self, control: &mut Control) -> Result<(), ControlError> {
        if control.is_closed() {
            Err(ControlError::Connect(
                "the connection was closed".to_owned(),
            ))
        } else {
            Ok(())
        }
    }

    fn has_broken(&self, control: &mut Control) -> bool {
        control.is_closed()
    }
}
