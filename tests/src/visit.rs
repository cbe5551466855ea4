//! Somebody before the page of the admin listener: what a browser sends, a request at a time, and what comes back.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use crossfade_testbed::free_port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const PASSWORD: &str = "pass & <word>";

/// A user file and the configuration of a page that is for its users: `ann` may operate, `sam` may see.
pub struct PageFiles {
    pub port: u16,
    /// Lines of a proxy's configuration.
    pub config: String,
    dir: tempfile::TempDir,
}

impl PageFiles {
    pub fn new(more_of_admin: &str) -> anyhow::Result<PageFiles> {
        let dir = tempfile::tempdir()?;
        let port = free_port()?;
        let users = dir.path().join("users");
        let config = format!(
            "[admin]\nlisten = \"127.0.0.1:{port}\"\npage = true\n{more_of_admin}\n\
             [console]\nusers = \"{}\"\n",
            users.display()
        );
        let files = PageFiles { port, config, dir };
        files.write(&[("ann", "operate"), ("sam", "see")])?;
        Ok(files)
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("users")
    }

    /// Puts these users into the file, in place of those in it.
    pub fn write(&self, users: &[(&str, &str)]) -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt;

        let mut text = String::new();
        for (name, role) in users {
            let verifier = postgres_protocol::password::scram_sha_256(PASSWORD.as_bytes());
            writeln!(text, "\"{name}\" \"{verifier}\" {role}")?;
        }
        // Nobody is to read half of it.
        let new = self.dir.path().join("users.new");
        std::fs::write(&new, text)?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
        Ok(std::fs::rename(new, self.path())?)
    }
}

/// What a browser keeps, and how it names the host.
#[derive(Clone, Debug)]
pub struct Visit {
    port: u16,
    pub host: String,
    /// `None`: it does not say from which site a form comes.
    pub origin: Option<String>,
    pub cookie: Option<String>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let (_, value) = lines.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// What the first form of it carries as a hidden field.
    #[must_use]
    pub fn hidden(&self, name: &str) -> Option<&str> {
        let (_, behind) = self.body.split_once(&format!("name=\"{name}\" value=\""))?;
        behind.split('"').next()
    }
}

impl Visit {
    #[must_use]
    pub fn new(port: u16) -> Visit {
        Visit {
            port,
            host: format!("localhost:{port}"),
            origin: Some(format!("http://localhost:{port}")),
            cookie: None,
        }
    }

    /// One that has logged in.
    pub async fn of(port: u16, user: &str) -> anyhow::Result<Visit> {
        let mut visit = Visit::new(port);
        let answer = visit.log_in(user, PASSWORD).await?;
        anyhow::ensure!(answer.status == 303, "{answer:?}");
        Ok(visit)
    }

    pub async fn log_in(&mut self, user: &str, password: &str) -> anyhow::Result<Answer> {
        let form = [("user", user), ("password", password)];
        let answer = self.post("/login", &form).await?;
        if let Some(cookie) = answer.header("set-cookie") {
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        Ok(answer)
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask("GET", path, "").await
    }

    /// Sends a form.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let fields = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)));
        let body = fields.collect::<Vec<_>>().join("&");
        self.ask("POST", path, &body).await
    }

    /// Opens the form at a path, fills it in, and sends it.
    pub async fn fill_in(&self, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let form = self.get(path).await?;
        anyhow::ensure!(form.status == 200, "{form:?}");
        // The first one of every page logs out; its token is the session's, as everywhere.
        let hidden =
            ["csrf", "from", "to"].map(|name| (name, form.hidden(name).unwrap_or_default()));
        let all: Vec<_> = hidden.into_iter().chain(fields.iter().copied()).collect();
        self.post(path, &all).await
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.host
        );
        if let Some(cookie) = &self.cookie {
            write!(head, "Cookie: other=1; {cookie}\r\n")?;
        }
        if method == "POST" {
            if let Some(origin) = &self.origin {
                write!(head, "Origin: {origin}\r\n")?;
            }
            let length = body.len();
            write!(
                head,
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n"
            )?;
        }
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream
            .write_all(format!("{head}\r\n{body}").as_bytes())
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("a whole answer")?;
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        Ok(Answer {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => encoded.push(byte.into()),
            other => encoded += &format!("%{other:02X}"),
        }
    }
    encoded
}
