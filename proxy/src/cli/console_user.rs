//! `crossfade console-user`: a line for the console's users file, by which a password is checked without being in it.

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use anyhow::{Context, bail};
use postgres_protocol::password::scram_sha_256;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The user's name
    pub name: String,
    /// What the user may do
    #[arg(long, value_enum, default_value = "see")]
    pub role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Look at everything
    See,
    /// Take steps, hold transactions back, end sessions
    Operate,
}

/// A password is typed or made, and not a file.
const PASSWORD_BYTES_MAX: usize = 1024;

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.name.is_empty() || args.name.contains(['\n', '\r', '\0']) {
        bail!("expected a name of one line, and not an empty one");
    }
    let password = password()?;
    let role = match args.role {
        Role::See => "see",
        Role::Operate => "operate",
    };
    let name = args.name.replace('"', "\"\"");
    let verifier = scram_sha_256(password.as_bytes());
    println!("\"{name}\" \"{verifier}\" {role}");
    Ok(ExitCode::SUCCESS)
}

/// From the terminal, twice and unseen, or one line of stdin. Never from the command line, which everybody on the host can
/// read.
fn password() -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    let password = if stdin.is_terminal() {
        let first = rpassword::prompt_password("Password: ").context("reading of the password")?;
        let again = rpassword::prompt_password("Again: ").context("reading of the password")?;
        if first != again {
            bail!("the two passwords are not the same");
        }
        first
    } else {
        let mut line = String::new();
        stdin
            .lock()
            .read_line(&mut line)
            .context("reading of the password from stdin")?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.is_empty() {
        bail!("expected a password on stdin, or typed at a terminal");
    }
    if password.len() > PASSWORD_BYTES_MAX {
        bail!("expected a password of {PASSWORD_BYTES_MAX} bytes at most");
    }
    Ok(password)
}
