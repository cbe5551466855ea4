//! `crossfade canary`: some sessions read a migration as in its next phase.

use std::process::ExitCode;

use serde_json::json;

use super::status::age;
use super::target::say;
use crate::config::{Config, Flags};
use crate::control::canary::judge::Measure;
use crate::control::canary::{NewCanary, members};
use crate::control::events::Actor;
use crate::control::{connect, schema};
use crate::steps::canary::{self, CanaryView};
use crate::steps::site::Site;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The migration's name; without it all canaries are listed
    pub migration: Option<String>,
    /// Of all sessions ("5%"), or "off"; without it and without names what runs is shown
    pub share: Option<Share>,
    #[command(flatten)]
    pub flags: Flags,
    /// All sessions of this role; may be given several times
    #[arg(long, value_name = "ROLE", requires = "migration")]
    pub user: Vec<String>,
    /// All sessions that call themselves so when they connect; may be given several times
    #[arg(long, value_name = "NAME", requires = "migration")]
    pub application: Vec<String>,
    /// How much larger than the others' its share of failed reads may be, in percent of all reads
    #[arg(long, value_name = "PERCENT", requires = "migration")]
    pub error_margin: Option<f64>,
    /// How many times the others' its 99th percentile may be
    #[arg(long, value_name = "FACTOR", requires = "migration")]
    pub latency_margin: Option<f64>,
    /// How many of the compared reads may differ, in percent
    #[arg(long, value_name = "PERCENT", requires = "migration")]
    pub divergence_margin: Option<f64>,
    /// Begin although gates of the next step are not met; the reason is recorded
    #[arg(long, requires = "reason")]
    pub force: bool,
    /// Why it is forced, or why it ends
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// What runs as JSON
    #[arg(long)]
    pub json: bool,
}

/// What may stand behind the migration's name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    Of(f64),
    Off,
}

impl std::str::FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Share::Off);
        }
        let number = text.strip_suffix('%').map(str::trim_end);
        let percent = number.and_then(|number| number.parse::<f64>().ok());
        match percent {
            Some(percent) if (0.0..=100.0).contains(&percent) => Ok(Share::Of(percent / 100.0)),
            Some(_) | None => Err(format!(
                "expected `off` or a share of 0% to 100%, not `{text}`"
            )),
        }
    }
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let site = Site::of(&Config::load(&args.flags)?)?;
    let by = Actor::of_process();
    let names = |names: &[String]| (!names.is_empty()).then(|| names.to_vec());
    if let Some(name) = &args.migration {
        let share = match args.share {
            Some(Share::Off) => {
                let reason = args.reason.as_deref().unwrap_or("an operator ended it");
                let ended = canary::end(&site, name, reason, by).await?;
                println!(
                    "{name}: {}",
                    if ended {
                        "the canary has ended"
                    } else {
                        "no canary runs"
                    }
                );
                return Ok(ExitCode::SUCCESS);
            }
            Some(Share::Of(share)) => Some(share),
            None => None,
        };
        let new = NewCanary {
            share,
            users: names(&args.user),
            applications: names(&args.application),
            error_margin: args.error_margin.map(|percent| percent / 100.0),
            latency_margin: args.latency_margin,
            divergence_margin: args.divergence_margin.map(|percent| percent / 100.0),
            forced: args.reason.clone().filter(|_| args.force),
        };
        let asks = share.is_some() || new.users.is_some() || new.applications.is_some();
        let margins = [new.error_margin, new.latency_margin, new.divergence_margin];
        if asks || margins.iter().any(Option::is_some) {
            canary::begin(&site, name, &new, by, &mut say).await?;
        }
    }
    let client = connect(&site.url, "canary").await?;
    schema::must_be_prepared(&client).await?;
    let views = canary::views(&client, args.migration.as_deref()).await?;
    if args.json {
        let all: Vec<_> = views.iter().map(document).collect();
        println!("{:#}", serde_json::Value::from(all));
        return Ok(ExitCode::SUCCESS);
    }
    if views.is_empty() {
        println!("no canary runs");
    }
    for view in &views {
        let row = &view.row;
        println!(
            "{}: {} read as in {}, for {}, by {}",
            row.canary.migration,
            members(&row.canary),
            view.reads_as(),
            age(row.age_seconds),
            row.began_by
        );
        for Measure { name, found, .. } in view.measures() {
            println!("    {name:<11} {found}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn document(view: &CanaryView) -> serde_json::Value {
    let canary = &view.row.canary;
    json!({
        "migration": canary.migration, "phase": view.phase.name(), "epoch": canary.epoch.0,
        "share": canary.share, "users": canary.users, "applications": canary.applications,
        "age_seconds": view.row.age_seconds, "by": view.row.began_by,
        "measures": view.measures(), "counted": view.counted,
    })
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn a_share_is_written_in_percent() {
        for (text, share) in [("5%", 0.05), ("12.5 %", 0.125), ("0%", 0.0), ("100%", 1.0)] {
            assert_eq!(text.parse(), Ok(Share::Of(share)), "{text}");
        }
        assert_eq!("OFF".parse(), Ok(Share::Off));
        for text in ["", "5", "0.05", "-1%", "101%", "NaN%", "inf%", "%", "on"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }
}
