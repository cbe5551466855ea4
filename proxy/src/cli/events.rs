//! `crossfade events`: who did what, from where, when, why, and what was found.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use super::target::control_url;
use crate::config::{Config, Flags};
use crate::control::history::{self, PAGE_ROWS, Wanted};
use crate::control::{Control, connect, schema};
use crate::output;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only what happened to this migration
    pub migration: Option<String>,
    #[command(flatten)]
    pub flags: Flags,
    /// One JSON object on each line
    #[arg(long)]
    pub json: bool,
    /// Go on with what happens from now on
    #[arg(long)]
    pub follow: bool,
    /// Not what is older: a time or an interval as PostgreSQL reads it ('2026-11-30 12:00', '2 hours')
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
}

/// Between two looks of whoever follows: operators take steps minutes apart.
const LOOK: Duration = Duration::from_secs(1);
/// Identities are given before their transactions commit, so a lower one may come into view after a higher. Whoever
/// follows looks at as many again; no more operators than this are at work at once.
const OVERLAP: i64 = 100;

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.flags)?;
    let url = control_url(&config)?;
    let client = connect(&url, "events").await?;
    schema::must_be_prepared(&client).await?;
    let since = match &args.since {
        Some(since) => Some(history::time(&client, since).await?),
        None => None,
    };
    let mut shown = Shown::default();
    loop {
        let news = page(&client, &args, since.as_deref(), &mut shown).await?;
        if !output::is_read() || (!args.follow && !news) {
            return Ok(ExitCode::SUCCESS);
        }
        if !news {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What was printed: the newest, and those before it that the next look finds again.
#[derive(Debug, Default)]
struct Shown {
    newest: i64,
    again: BTreeSet<i64>,
}

/// Prints what comes next; whether there may be more.
async fn page(
    client: &Control,
    args: &Args,
    since: Option<&str>,
    shown: &mut Shown,
) -> anyhow::Result<bool> {
    let wanted = Wanted {
        migration: args.migration.as_deref(),
        since,
        after: shown.newest - OVERLAP,
    };
    let found = history::read(client, wanted).await?;
    let full = found.len() == PAGE_ROWS;
    for event in found {
        if !shown.again.insert(event.id) {
            continue;
        }
        shown.newest = shown.newest.max(event.id);
        if args.json {
            println!("{}", serde_json::to_string(&event)?);
        } else {
            println!("{event}");
        }
        if !output::is_read() {
            break;
        }
    }
    shown.again = shown.again.split_off(&(shown.newest - OVERLAP));
    Ok(full)
}
