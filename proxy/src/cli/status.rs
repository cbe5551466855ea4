//! `crossfade status`: where every migration stands, and what stands in its way.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::target::CommandTarget;
use crate::config::Flags;
use crate::control::epochs::OpenEpoch;
use crate::control::instances::InstanceTotals;
use crate::control::{connect, named, shown};
use crate::retire::Aside;
use crate::steps::status::{self, Status};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The migration's name; all of them when left out
    pub migration: Option<String>,
    #[command(flatten)]
    pub flags: Flags,
    /// The status as JSON
    #[arg(long)]
    pub json: bool,
    /// Again and again, every so many seconds, until Ctrl-C
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub watch: Option<u64>,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let target = CommandTarget::load(&args.flags).await?;
    if let Some(name) = &args.migration {
        named::find(&target.rules, name)?;
    }
    let Some(seconds) = args.watch else {
        println!("{}", look(&args, &target).await?.trim_end());
        return Ok(ExitCode::SUCCESS);
    };
    let clears = std::io::stdout().is_terminal();
    loop {
        // A database that is away for a moment is what one watches for.
        let text = match look(&args, &target).await {
            Ok(text) => text,
            Err(error) => format!("{error:#}\n"),
        };
        if clears {
            print!("{CLEAR}");
        }
        println!("{}", text.trim_end());
        std::io::stdout().flush()?;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}

/// Cursor to the top left, and nothing below it.
const CLEAR: &str = "\x1b[H\x1b[J";

async fn look(args: &Args, target: &CommandTarget) -> anyhow::Result<String> {
    let client = connect(&target.url, "status").await?;
    let all = status::read(
        &client,
        &target.rules,
        args.migration.as_deref(),
        args.watch.is_none(),
    )
    .await?;
    if args.json {
        return Ok(serde_json::to_string_pretty(&all)?);
    }
    Ok(all.iter().map(text).collect())
}

fn text(status: &Status) -> String {
    let mut lines = Vec::new();
    if !status.prepared {
        lines.push(("phase", format!("{} (rule file)", status.phase)));
        lines.push(("prepared", "no: `crossfade prepare`".to_owned()));
        return table(&status.migration, &lines);
    }
    let drained = if status.drained {
        "drained"
    } else {
        "NOT drained"
    };
    let epoch = match status.epoch {
        Some(epoch) => format!("epoch {epoch}"),
        None => "rule file".to_owned(),
    };
    lines.push(("phase", format!("{} ({epoch}), {drained}", status.phase)));
    if let Some(host) = &status.host {
        lines.push(("server", host.clone()));
    }
    open_epochs(status, &mut lines);
    instances(status, &mut lines);
    for refused in &status.rules_refused {
        lines.push((
            "rules",
            format!(
                "NOT in force at {} for {}: {}",
                refused.address,
                age(refused.seconds),
                refused.reason
            ),
        ));
    }
    last_step(status, &mut lines);
    probation(status, &mut lines);
    backfill(status, &mut lines);
    lines.push((
        "verify",
        match &status.last_verify {
            None => "never".to_owned(),
            Some(last) => format!(
                "{}, {} ago: missing {}, extra {}, different {}{}{}",
                if last.clean { "clean" } else { "NOT clean" },
                age(last.age_seconds),
                last.missing,
                last.extra,
                last.different,
                if last.after_backfill {
                    ""
                } else {
                    " (older than the backfill)"
                },
                if last.of_these_rules {
                    ""
                } else {
                    " (of other rules than these)"
                },
            ),
        },
    ));
    let ledger = match status.divergence_count {
        0 => "empty".to_owned(),
        1 => "1 key".to_owned(),
        count => format!("{count} keys"),
    };
    let ledger = match &status.last_divergence_at {
        Some(at) => format!("{ledger}, a write last added to it at {at}"),
        None => ledger,
    };
    lines.push(("ledger", ledger));
    if !status.recording {
        lines.push((
            "",
            format!(
                "nothing is recorded now, and writes that would be are refused (40001): reads turn. If no step is under \
                 way, `crossfade advance {} --to {}` lifts it",
                status.migration, status.phase
            ),
        ));
    }
    for entry in &status.divergence {
        let times = if entry.times > 1 {
            format!(", {} times", entry.times)
        } else {
            String::new()
        };
        lines.push((
            "",
            format!(
                "{} {}: {} ({}{times})",
                shown(&entry.legacy_table),
                entry.key,
                entry.reason,
                entry.sqlstate
            ),
        ));
    }
    lines.push(("tombstones", status.tombstones.to_string()));
    if let Some(days) = status.days_without_fallback {
        let last = match &status.last_fallback_at {
            Some(at) => format!(", the last one at {at}"),
            None => String::new(),
        };
        lines.push(("fallbacks", format!("none for {days:.1} days{last}")));
    }
    for (label, gate) in [
        ("coverage", &status.coverage),
        ("sequences", &status.sequences),
        ("plans", &status.plans),
    ] {
        let gate = gate.iter();
        lines.extend(gate.map(|gate| (label, format!("for the next step: {}", gate.found))));
    }
    for around in &status.around {
        lines.push(("around", around.to_string()));
    }
    for line in &status.direct {
        lines.push(("around", line.clone()));
    }
    for holder in &status.holders {
        lines.push(("waits for", holder.to_string()));
    }
    for blocker in &status.blockers {
        lines.push(("writes now", blocker.to_string()));
    }
    table(&status.migration, &lines)
}

/// What was left and can still write, and by whom.
fn open_epochs(status: &Status, lines: &mut Vec<(&'static str, String)>) {
    for open in &status.open_epochs {
        let OpenEpoch { epoch, phase, .. } = open;
        if open.holders.is_empty() {
            lines.push((
                "still open",
                format!("{phase} (epoch {epoch}), held by nobody now"),
            ));
        }
        for holder in &open.holders {
            lines.push((
                "still open",
                format!("{phase} (epoch {epoch}), by {holder}"),
            ));
        }
    }
}

fn instances(status: &Status, lines: &mut Vec<(&'static str, String)>) {
    if status.instances.is_empty() {
        lines.push(("instances", "none registered".to_owned()));
    }
    for (i, instance) in status.instances.iter().enumerate() {
        let how = match (instance.live, instance.drained) {
            (true, true) => "drained".to_owned(),
            (true, false) => "NOT drained".to_owned(),
            (false, _) => format!("silent for {}", age(instance.seen_seconds_ago)),
        };
        let waits = instance.p99_ms.filter(|_| instance.live);
        let how = match waits {
            Some(p99) => format!("{how}, its clients wait {p99:.1} ms (p99)"),
            None => how,
        };
        let label = if i == 0 { "instances" } else { "" };
        let epoch = instance
            .epoch
            .map_or_else(|| "no epoch".to_owned(), |epoch| format!("epoch {epoch}"));
        lines.push((
            label,
            format!("{instance}: {} ({epoch}), {how}", instance.phase),
        ));
    }
    let counted: InstanceTotals = status.instances.iter().map(|i| i.counted).sum();
    let told = format!(
        "{} fallbacks, {} divergences; shadow reads: {} equal, {} different, {} not comparable",
        counted.fallbacks,
        counted.divergences,
        counted.shadow_equal,
        counted.shadow_different,
        counted.shadow_failed
    );
    lines.push(("they saw", told));
}

fn last_step(status: &Status, lines: &mut Vec<(&'static str, String)>) {
    let Some(step) = &status.last_step else {
        return;
    };
    let mut text = format!(
        "{} {} -> {} at {} by {}",
        step.kind, step.from, step.to, step.at, step.by
    );
    if step.forced {
        text += &format!(", FORCED: {}", step.reason.as_deref().unwrap_or(""));
    }
    if !step.drained && step.to == status.phase {
        text += ", its drain was not seen to end";
    } else if !step.drained {
        text += ", interrupted before the phase was changed";
    }
    lines.push(("last step", text));
}

fn backfill(status: &Status, lines: &mut Vec<(&'static str, String)>) {
    if status.backfill.is_empty() {
        lines.push(("backfill", "never".to_owned()));
    }
    for progress in &status.backfill {
        lines.push((
            "backfill",
            format!(
                "{}: {}, {} of about {} rows, {} put, {} set aside, {} ghosts removed, {} ago",
                shown(&progress.legacy_table),
                match progress.interrupted {
                    true => "interrupted",
                    false => progress.state.name(),
                },
                progress.rows_done,
                progress.rows_estimated.max(progress.rows_done),
                progress.rows_put,
                progress.rows_set_aside,
                progress.ghosts_removed,
                age(progress.updated_seconds_ago),
            ),
        ));
    }
}

fn table(name: &str, lines: &[(&str, String)]) -> String {
    let mut text = format!("{name}\n");
    for (label, value) in lines {
        text += &format!("  {label:<11} {value}\n");
    }
    text
}

/// Tables that are named, where each of a thousand tenants has one.
const ASIDES_SHOWN: usize = 20;

fn probation(status: &Status, lines: &mut Vec<(&'static str, String)>) {
    for aside in status.put_aside.iter().take(ASIDES_SHOWN) {
        if !aside.is_there() {
            lines.push(("dropped", dropped(aside)));
            continue;
        }
        let (legacy, now) = (shown(&aside.legacy_table), shown(&aside.put_aside_as));
        let mut line = format!("{legacy} is called {now} for {}", age(aside.seconds));
        if aside.has_stand_in {
            line += "; an empty stand-in bears its name";
        }
        lines.push(("probation", line));
    }
    if let Some(more @ 1..) = status.put_aside.len().checked_sub(ASIDES_SHOWN) {
        lines.push(("probation", format!("and {more} more")));
    }
    if status.done {
        let done = "every legacy table is dropped; the rule file may go when no old client is left";
        lines.push(("done", done.to_owned()));
    }
}

/// Of a table that was retired and is dropped.
pub(super) fn dropped(aside: &Aside) -> String {
    let legacy = shown(&aside.legacy_table);
    let mut line = format!(
        "{legacy} was retired {} ago and is dropped, known for {}",
        age(aside.seconds),
        age(aside.gone_seconds.unwrap_or_default())
    );
    if aside.has_stand_in {
        line += "; an empty stand-in bears its name";
    }
    line
}

pub(super) fn age(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3_600.0),
        s => format!("{:.0} d", s / 86_400.0),
    }
}
