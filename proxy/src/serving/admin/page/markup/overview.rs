//! All migrations, each with where it stands.

use std::time::SystemTime;

use maud::{Markup, html};

use super::super::model::{Activity, Overview, Summary, Visitor};
use super::frame::Page;
use super::ladder::mini;
use super::parts::{Mood, badge, many, path_of, since};
use crate::backfill::state::State;
use crate::steps::status::Status;

pub(in super::super) fn overview(found: &Overview, visitor: &Visitor, now: SystemTime) -> Markup {
    let page = Page {
        title: "Migrations",
        visitor: Some(visitor),
        at: "/",
        live: true,
    };
    page.with(&html! {
        div.heading { h1 { "Migrations" } }
        @if found.migrations.is_empty() {
            section.card { p { "None is in force, and no rule file names one." } }
        }
        div.list {
            @for summary in &found.migrations { (card(summary, now)) }
        }
    })
}

fn card(summary: &Summary, now: SystemTime) -> Markup {
    let row = &summary.row;
    html! {
        a.card href=(path_of(&row.name, "")) {
            div.heading {
                h2 { (row.name) }
                @for (mood, words) in badges(&summary.status, summary.activity.as_ref()) {
                    (badge(mood, &words))
                }
            }
            div.quiet { (row.legacy.join(", ")) " → " (row.unified.join(", ")) }
            (mini(row.phase))
            div {
                strong { (row.phase.name()) }
                span.quiet {
                    @if let Some(next) = row.next { ", next " (next.name()) }
                    @if let Some(at) = row.since { " · since " (since(at, now)) }
                    @if let Some(by) = &row.by { " · by " (by) }
                }
            }
        }
    }
}

/// What is worth knowing at a glance.
pub(super) fn badges(status: &Status, activity: Option<&Activity>) -> Vec<(Mood, String)> {
    let mut badges = Vec::new();
    if activity.is_some_and(|activity| activity.ended.is_none()) {
        badges.push((Mood::Unsure, "a step is under way".to_owned()));
    }
    if !status.prepared {
        badges.push((Mood::Unsure, "not prepared".to_owned()));
        return badges;
    }
    if status.drained {
        badges.push((Mood::Good, "drained".to_owned()));
    } else {
        badges.push((Mood::Unsure, "not drained".to_owned()));
    }
    if !status.rules_refused.is_empty() {
        badges.push((Mood::Bad, "rules refused".to_owned()));
    }
    let silent = status.instances.iter().filter(|i| !i.live).count();
    if silent > 0 {
        let silent = i64::try_from(silent).unwrap_or(i64::MAX);
        badges.push((Mood::Unsure, many(silent, "proxy silent", "proxies silent")));
    }
    for copy in &status.backfill {
        match copy.state {
            State::Running | State::Sweeping if copy.interrupted => {
                badges.push((Mood::Unsure, "backfill interrupted".to_owned()));
            }
            State::Running | State::Sweeping => {
                badges.push((Mood::Plain, "backfill running".to_owned()));
            }
            State::Complete | State::Void => {}
        }
    }
    if status.divergence_count > 0 {
        let keys = many(status.divergence_count, "key", "keys");
        badges.push((Mood::Bad, format!("{keys} in the ledger")));
    }
    if status.last_verify.as_ref().is_some_and(|last| !last.clean) {
        badges.push((Mood::Bad, "verify not clean".to_owned()));
    }
    badges
}
