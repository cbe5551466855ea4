//! How far backfills are, and what may be changed of them.

use maud::{Markup, html};
use rewrite_rules::Phase;

use super::super::model::{Detail, Visitor};
use super::frame::csrf;
use super::parts::{count, many, path_of, prose, span};
use crate::backfill::state::{CopyProgress, State, Wish};
use crate::control::shown;

pub(super) fn backfill(found: &Detail, visitor: &Visitor) -> Markup {
    let copies = &found.status.backfill;
    html! {
        section.card aria-labelledby="backfill" {
            header { h2 id="backfill" { "Backfill" } }
            @if copies.is_empty() {
                p.quiet {
                    "None so far. "
                    @match found.row.phase {
                        Phase::DualWrite | Phase::ShadowRead | Phase::DualRead => {
                            (prose(&format!("`crossfade backfill {}` starts one", found.row.name)))
                        },
                        Phase::LegacyOnly => { "It can be started from " code { "dual_write" } " on" },
                        Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => {},
                    }
                }
            }
            @for copy in copies { (one(copy, found.trends.copied_per_second(copy))) }
            @if visitor.may_operate && copies.iter().any(is_under_way) {
                (dials(found, visitor))
            }
        }
    }
}

fn is_under_way(copy: &CopyProgress) -> bool {
    match copy.state {
        State::Running | State::Sweeping => !copy.interrupted,
        State::Complete | State::Void => false,
    }
}

/// `rate`: rows in a second, where somebody has looked twice.
fn one(copy: &CopyProgress, rate: Option<f64>) -> Markup {
    let total = copy.rows_estimated.max(copy.rows_done);
    let table = shown(&copy.legacy_table);
    let direction = if copy.direction.is_reverse() {
        ", back to legacy"
    } else {
        ""
    };
    let percent = if total == 0 {
        100.0
    } else {
        copy.rows_done as f64 * 100.0 / total as f64
    };
    html! {
        h3 { (table) (direction) }
        p {
            strong { (words(copy)) }
            span.quiet {
                ", " (count(copy.rows_done)) " of about " (many(total, "row", "rows"))
                " (" (format!("{percent:.0}")) " %)"
            }
        }
        progress max="100" value=(format!("{percent:.1}")) aria-label={ "Backfill of " (table) } {}
        dl.pairs {
            @if is_under_way(copy) {
                dt { "speed" }
                dd { (speed(rate)) ", chunks of " (count(copy.chunk_rows)) }
                dt { "time left" }
                dd { (time_left(copy, total, rate)) }
                dt { "throttle" }
                dd { (throttle(copy)) }
            }
            dt { "put" } dd { (many(copy.rows_put, "row", "rows")) }
            @if copy.rows_set_aside > 0 {
                dt { "set aside" } dd { (many(copy.rows_set_aside, "row", "rows")) ", see below" }
            }
            @if copy.ghosts_removed > 0 {
                dt { "ghosts removed" } dd { (count(copy.ghosts_removed)) }
            }
            dt { "last sign" } dd { (span(copy.updated_seconds_ago)) " ago" }
        }
    }
}

fn words(copy: &CopyProgress) -> &'static str {
    match (copy.interrupted, copy.wish) {
        (true, _) => "interrupted",
        (false, Wish::Pause) if copy.state == State::Running => "paused",
        (false, Wish::Run | Wish::Pause | Wish::Cancel) => copy.state.name(),
    }
}

fn speed(rate: Option<f64>) -> String {
    match rate {
        Some(rate) => format!("{} rows/s", count(rate.round() as i64)),
        None => "not known yet".to_owned(),
    }
}

fn time_left(copy: &CopyProgress, total: i64, rate: Option<f64>) -> String {
    match (copy.state, rate) {
        (State::Sweeping, _) => "every row is in; what is left over is swept".to_owned(),
        (State::Running, Some(rate)) if rate >= 0.5 => {
            format!("about {}", span((total - copy.rows_done) as f64 / rate))
        }
        (State::Running | State::Complete | State::Void, _) => "not known".to_owned(),
    }
}

fn throttle(copy: &CopyProgress) -> String {
    let mut told = Vec::new();
    if let Some(rows) = copy.rows_per_second_max {
        told.push(format!("at most {} rows/s", count(rows)));
    }
    if let Some(lag) = copy.replica_lag_max_seconds {
        told.push(format!("replicas at most {lag} s behind"));
    }
    if let Some(p99) = copy.p99_max_ms {
        told.push(format!("clients wait at most {p99} ms (p99)"));
    }
    told.push(if copy.yields {
        "gives way to others".to_owned()
    } else {
        "at full speed".to_owned()
    });
    told.join(", ")
}

fn dials(found: &Detail, visitor: &Visitor) -> Markup {
    let paused = found
        .status
        .backfill
        .iter()
        .any(|copy| copy.wish == Wish::Pause);
    let limit = found
        .status
        .backfill
        .iter()
        .find_map(|copy| copy.rows_per_second_max);
    let path = path_of(&found.row.name, "/backfill");
    html! {
        div.fields.row {
            form.fields.row method="post" action=(path) {
                (csrf(visitor))
                div {
                    label for="rows" { "Rows a second at most (0: no limit)" }
                    input type="number" id="rows" name="rows_per_second" min="0" max="100000000" step="1" required
                        value=(limit.unwrap_or(0));
                }
                button type="submit" name="dial" value="speed" { "Set" }
            }
            form method="post" action=(path) {
                (csrf(visitor))
                @if paused {
                    button type="submit" name="dial" value="resume" { "Go on" }
                } @else {
                    button type="submit" name="dial" value="pause" { "Pause" }
                }
            }
        }
    }
}
