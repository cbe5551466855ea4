//! A proxy with a console, its users, and what it answers by the simple protocol.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};
use rewrite_rules::Phase;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage};

use crate::{Proxy, World, binary};

/// Who may do everything, and who may look.
pub const OPERATOR: &str = "ann";
pub const VIEWER: &str = "bob";
pub const OPERATOR_PASSWORD: &str = "op%40er";
pub const VIEWER_PASSWORD: &str = "viewer";

/// A line of the users file, as the command makes it.
pub async fn user(name: &str, password: &str, role: &str) -> anyhow::Result<String> {
    let mut command = Command::new(binary::crossfade())
        .args(["console-user", name, "--role", role])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = command.stdin.take().context("stdin is piped")?;
    stdin.write_all(format!("{password}\n").as_bytes()).await?;
    drop(stdin);
    let ended = command.wait_with_output().await?;
    let errors = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "console-user: {errors}");
    Ok(String::from_utf8(ended.stdout)?)
}

/// A proxy in front of a database of its own in `legacy_only`, not yet serving; `more` stands behind `[console]`.
pub async fn configured(world: &World, name: &str, more: &str) -> anyhow::Result<Proxy> {
    world.database(name).await?;
    let lines = format!("[console]\nusers = \"{}\"\n{more}", file_name(name));
    let proxy = Proxy::with_config(&world.postgres, name, &lines)?;
    proxy.write_phase(Phase::LegacyOnly)?;
    let users = [
        user(OPERATOR, "op@er", "operate").await?,
        user(VIEWER, VIEWER_PASSWORD, "see").await?,
    ];
    write_users(&proxy, name, &users.concat())?;
    Ok(proxy)
}

/// The same, serving a database that is prepared.
pub async fn serving(world: &World, name: &str, more: &str) -> anyhow::Result<Proxy> {
    let proxy = configured(world, name, more).await?;
    proxy.crossfade(&["prepare"]).await?;
    proxy.serve().await
}

fn file_name(name: &str) -> String {
    format!("users-{name}.txt")
}

pub fn users_file(proxy: &Proxy, name: &str) -> anyhow::Result<PathBuf> {
    let config = proxy.config();
    let directory = config
        .parent()
        .context("the configuration has a directory")?;
    Ok(directory.join(file_name(name)))
}

pub fn write_users(proxy: &Proxy, name: &str, text: &str) -> anyhow::Result<()> {
    let path = users_file(proxy, name)?;
    std::fs::write(&path, text)?;
    Ok(std::fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(0o600),
    )?)
}

/// A connection to a console.
pub struct Console {
    pub client: Client,
    notices: Arc<Mutex<Vec<String>>>,
}

/// Rows by the names of their columns.
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
}

impl Rows {
    /// What stands in a column of a row; `None`: NULL.
    ///
    /// # Panics
    ///
    /// If there is no such column.
    #[must_use]
    pub fn at(&self, row: usize, column: &str) -> Option<&str> {
        let index = self.columns.iter().position(|name| name == column);
        let index = index.unwrap_or_else(|| panic!("no column {column} in {:?}", self.columns));
        self.rows[row][index].as_deref()
    }

    /// The row in which a column says so.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn find(&self, column: &str, value: &str) -> usize {
        let mut rows = 0..self.rows.len();
        let found = rows.find(|row| self.at(*row, column) == Some(value));
        found.unwrap_or_else(|| panic!("no {column} = {value} in {:?}", self.rows))
    }
}

impl Console {
    pub async fn of(proxy: &Proxy, user: &str, password: &str) -> anyhow::Result<Console> {
        Self::at(&proxy.url_as(&format!("{user}:{password}"), "crossfade")).await
    }

    pub async fn operator(proxy: &Proxy) -> anyhow::Result<Console> {
        Self::of(proxy, OPERATOR, OPERATOR_PASSWORD).await
    }

    pub async fn viewer(proxy: &Proxy) -> anyhow::Result<Console> {
        Self::of(proxy, VIEWER, VIEWER_PASSWORD).await
    }

    pub async fn at(url: &str) -> anyhow::Result<Console> {
        let (client, mut connection) = tokio_postgres::connect(url, NoTls).await?;
        let notices = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&notices);
        tokio::spawn(async move {
            while let Some(Ok(message)) =
                std::future::poll_fn(|cx| connection.poll_message(cx)).await
            {
                if let AsyncMessage::Notice(notice) = message {
                    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                    heard.push(notice.message().to_owned());
                }
            }
        });
        Ok(Console { client, notices })
    }

    pub async fn rows(&self, command: &str) -> anyhow::Result<Rows> {
        let mut all = Rows {
            columns: Vec::new(),
            rows: Vec::new(),
        };
        for message in self.client.simple_query(command).await? {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    all.columns = columns.iter().map(|c| c.name().to_owned()).collect();
                }
                SimpleQueryMessage::Row(row) => {
                    let values = (0..row.len()).map(|i| row.get(i).map(str::to_owned));
                    all.rows.push(values.collect());
                }
                _ => {}
            }
        }
        Ok(all)
    }

    /// The SQLSTATE and the words of a refusal.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub async fn refusal(&self, command: &str) -> (String, String) {
        match self.client.simple_query(command).await {
            Ok(_) => panic!("`{command}` is not refused"),
            Err(error) => told(&error),
        }
    }

    /// What was told beside the answers since the last call.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut notices)
    }
}

/// The SQLSTATE and the words of an error of the server's.
///
/// # Panics
///
/// If it is none of the server's.
#[must_use]
pub fn told(error: &tokio_postgres::Error) -> (String, String) {
    let error = error
        .as_db_error()
        .unwrap_or_else(|| panic!("no error of the server's: {error:?}"));
    let hint = error.hint().unwrap_or_default();
    (
        error.code().code().to_owned(),
        format!("{}\n{hint}", error.message()),
    )
}
