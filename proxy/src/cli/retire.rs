//! `crossfade retire`: legacy tables on probation, and back; then whether they may be dropped. Exit
//! code 0 when what was asked for is done or nothing speaks against the drop, 1 when something does.

use std::process::ExitCode;

use super::status::age;
use super::target::{CommandTarget, MigrationArgs};
use crate::control::shown;
use crate::retire::{
    self, Aside, DropEvidence, Evidence, Moved, Remains, RetireOptions, RetireOutcome,
};

/// Tables that are named, where each of a thousand tenants has one.
const SHOWN_MAX: usize = 20;
/// Statements that a dry run shows: those of some twenty tables.
const STATEMENTS_MAX: usize = 500;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub of: MigrationArgs,
    /// Give the tables back their names and rights, at once
    #[arg(long)]
    pub undo: bool,
    /// Leave nothing in the catalog under the tables' names: clients that look them up there find none
    #[arg(long, conflicts_with = "undo")]
    pub without_stand_in: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Rows shown of each kind in the last verify
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub samples: u32,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let target = CommandTarget::load(&args.of.flags).await?;
    let options = RetireOptions {
        undo: args.undo,
        stand_ins: !args.without_stand_in,
        dry_run: args.dry_run,
        untouched_days: target.gates.untouched_days,
        samples_max: args.samples,
    };
    let name = &args.of.migration;
    match retire::run(&target.url, &target.rules, name, &options).await? {
        RetireOutcome::WouldRun(statements) => {
            println!("{name}: this would be run, and nothing was:");
            for statement in statements.iter().take(STATEMENTS_MAX) {
                println!("  {statement};");
            }
            if let Some(more @ 1..) = statements.len().checked_sub(STATEMENTS_MAX) {
                println!("  … and {more} more, of the same kind");
            }
        }
        RetireOutcome::PutAside(moved) => {
            print!("{}", put_aside(&moved));
            println!("`crossfade retire {name} --undo` brings it back at once");
            println!("`crossfade retire {name}` tells whether anybody has missed it");
        }
        RetireOutcome::Back(moved) => {
            let back = |aside: &Aside| {
                let legacy = shown(&aside.legacy_table);
                format!("{legacy} has its name and its rights back\n")
            };
            print!("{}", some(&moved.tables, back));
            print!("{}", left_out(&moved.left_out));
        }
        RetireOutcome::Gone(remains) => print!("{}", gone(name, &remains)),
        RetireOutcome::Judged(judged) => {
            print!("{}", text(name, &judged));
            if !judged.is_enough() || !judged.leaning.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for each of the first of them, and how many there are.
fn some<T>(all: &[T], line: impl Fn(&T) -> String) -> String {
    let mut text: String = all.iter().take(SHOWN_MAX).map(line).collect();
    if let Some(more @ 1..) = all.len().checked_sub(SHOWN_MAX) {
        text += &format!("… and {more} more\n");
    }
    text
}

fn put_aside(moved: &Moved) -> String {
    let mut text = some(&moved.tables, |aside| {
        let (legacy, now) = (shown(&aside.legacy_table), shown(&aside.put_aside_as));
        let mut line =
            format!("{legacy} is on probation: it is called {now}, and nobody has a right on it\n");
        if aside.has_stand_in {
            line += &format!(
                "  what is called {legacy} is an empty stand-in, for whoever looks it up in the catalog; writes raise, \
                 and so do reads, but of superusers and roles with BYPASSRLS\n"
            );
        }
        line
    });
    text += &left_out(&moved.left_out);
    text
}

fn left_out(what: &[String]) -> String {
    some(what, |what| format!("left out: {what}\n"))
}

fn gone(name: &str, remains: &[Remains]) -> String {
    let mut text = some(remains, |remains| {
        format!("{}\n", super::status::dropped(&remains.table))
    });
    text += &format!(
        "{name}: its legacy tables are gone; its rule file may go when no old client is left\n"
    );
    let words: Vec<&String> = remains.iter().flat_map(|remains| &remains.words).collect();
    if !words.is_empty() {
        text += "When no client looks the tables up in the catalog any more, this takes their stand-ins away:\n";
        text += &some(&words, |words| format!("  {words}\n"));
    }
    text
}

fn text(name: &str, judged: &DropEvidence) -> String {
    // What speaks against the drop is told before the rest.
    let mut tables: Vec<&Evidence> = judged.tables.iter().collect();
    tables.sort_by_key(|evidence| evidence.is_enough());
    let mut text = some(&tables, |evidence| line(evidence));
    let mut verify = judged.last_verify.clone();
    let same = |t: &crate::verify::report::TableReport| t.missing + t.extra + t.different == 0;
    verify.tables.sort_by_key(same);
    verify.tables.truncate(SHOWN_MAX);
    text += &format!(
        "What it holds against unified, which has gone on without it (missing: deleted there \
         since, or never there):\n{verify}\n"
    );
    if !judged.is_enough() {
        text += &format!(
            "It is not time to drop it; `crossfade retire {name} --undo` brings it back\n"
        );
        return text;
    }
    if !judged.leaning.is_empty() {
        text += "Nobody has missed it, but these would stop the drop. In this order each has to be changed, to go by the \
                 tables that have the rows now, or to go:\n";
        for leaning in &judged.leaning {
            text += &format!("  {}  -- {}\n", leaning.sql, leaning.what);
        }
        text += "Nothing was dropped. After that, run:\n";
    } else {
        text += "Nothing was dropped. Nobody has missed it; to drop it, run:\n";
    }
    for words in &judged.drop {
        text += &format!("  {words}\n");
    }
    if judged.schemas_untold > 0 {
        text += &format!(
            "  -- {} more schemas have such tables: `crossfade retire {name}` tells of them when these are dropped\n",
            judged.schemas_untold
        );
    }
    text
}

fn line(evidence: &Evidence) -> String {
    let mut text = format!(
        "{} ({}): on probation for {}, untouched for {} of {} days",
        shown(&evidence.legacy_table),
        shown(&evidence.put_aside_as),
        age(evidence.aside_seconds),
        age(evidence.untouched_seconds),
        evidence.untouched_days_min,
    );
    if let Some(touched) = &evidence.touched {
        text += &format!("; TOUCHED since the last look: {touched}");
    }
    text += &if evidence.unchanged {
        format!("; its {} rows are what they were", evidence.rows)
    } else {
        format!("; its {} rows are NOT what they were", evidence.rows)
    };
    text + "\n"
}
