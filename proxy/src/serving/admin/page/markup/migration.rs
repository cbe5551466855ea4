//! One migration: where it stands, what its next step waits for, and what goes on.

use std::time::SystemTime;

use maud::{Markup, html};

use super::super::model::{Activity, Detail, Ended, Gates, Visitor};
use super::super::trends::{EVERY, Point, Trends};
use super::frame::{Page, csrf};
use super::overview::badges;
use super::parts::{Mood, badge, count, many, path_of, prose, since, span, verdict};
use super::{canary, events, ladder, plans, progress, proxies, rows, statements, step};

pub(in super::super) fn migration(found: &Detail, visitor: &Visitor, now: SystemTime) -> Markup {
    let row = &found.row;
    let page = Page {
        title: &row.name,
        visitor: Some(visitor),
        at: "/",
        live: true,
    };
    page.with(&html! {
        p.crumb { a href="/" { "Migrations" } " /" }
        div.heading {
            h1 { (row.name) }
            @for (mood, words) in badges(&found.status, found.activity.as_ref()) { (badge(mood, &words)) }
        }
        p.lead {
            (row.legacy.join(", ")) " → " (row.unified.join(", ")) br;
            "In " strong { (row.phase.name()) }
            @if let Some(epoch) = row.epoch { ", epoch " (epoch) }
            @if let Some(at) = row.since { ", since " (since(at, now)) }
            @if let Some(by) = &row.by { ", by " strong { (by) } }
            @if let Some(why) = &row.why { ": " (why) }
        }
        @if let Some(canary) = &found.canary { (canary::line(canary)) }
        @if let Some(misfit) = &row.misfit {
            (verdict(Mood::Bad, &html! { p { "The rules do not fit the database: " (prose(misfit)) } }))
        }
        @for refused in &found.status.rules_refused {
            (verdict(Mood::Bad, &html! { p { "Rules not in force at " (refused.address) " for "
                (span(refused.seconds)) ": " (prose(&refused.reason)) } }))
        }
        section.card aria-labelledby="phases" {
            header { h2 id="phases" { "Phases" } }
            (ladder::ladder(row.phase))
        }
        div.columns {
            div {
                @if let Some(activity) = &found.activity { (activity_of(activity, now)) }
                (next(found, visitor))
                (throughput(&found.trends))
                (progress::backfill(found, visitor))
                (rows::comparison(found))
                (statements::card(&found.statements))
                (plans::card(&row.name, &found.plans))
            }
            div {
                (proxies::card(&found.status.instances))
                (events::card(&row.name, &found.events))
            }
        }
    })
}

fn next(found: &Detail, visitor: &Visitor) -> Markup {
    let row = &found.row;
    html! {
        section.card aria-labelledby="next" {
            header {
                h2 id="next" {
                    @match row.next {
                        Some(next) => { "Next step: " (row.phase.name()) " → " (next.name()) },
                        None => "No step is left",
                    }
                }
                span.quiet.small { (step::age(&found.gates)) }
            }
            @if row.next.is_none() {
                p { "The old table is read and written no more. " (prose(&format!(
                    "`crossfade retire {}` puts it on probation, and says when it may be dropped", row.name))) }
            }
            (step::summary(&found.status, &found.holders, &found.gates))
            (step::holders(&found.holders))
            @if !matches!(found.gates, Gates::NoStep) { h3 { "Gates" } }
            (step::gates(&found.gates))
            div.actions { (actions(found, visitor)) }
        }
    }
}

fn actions(found: &Detail, visitor: &Visitor) -> Markup {
    let row = &found.row;
    html! {
        @if visitor.may_operate {
            @if let Some(next) = row.next {
                a.button.main href=(path_of(&row.name, "/advance")) { "Advance to " (next.name()) "…" }
            }
            @if let Some(previous) = row.previous {
                a.button.grave href=(path_of(&row.name, "/rollback")) { "Roll back to " (previous.name()) "…" }
            }
        }
        @if row.next.is_some() {
            form.inline method="post" action=(path_of(&row.name, "/gates")) {
                (csrf(visitor))
                button type="submit" { "Look at the gates again" }
            }
        }
        @if !visitor.may_operate {
            span.quiet.small { "Steps are for users who may operate." }
        }
    }
}

/// A step under way, or how the last one ended.
pub(super) fn activity_of(activity: &Activity, now: SystemTime) -> Markup {
    let Activity { from, to, by, .. } = activity;
    let what = format!("{} {from} → {to}", activity.direction.word());
    html! {
        section.card aria-labelledby="activity" {
            header {
                h2 id="activity" { "The last step taken here" }
                span.quiet.small { "by " (by) ", " (since(activity.began, now)) }
            }
            div role="status" {
                @match &activity.ended {
                    None => (verdict(Mood::Unsure, &html! { p {
                        strong { (what) } " is under way. " a href="" { "Look again" } } })),
                    Some(Ended::Taken { instances, waited_for }) => (verdict(Mood::Good, &html! { p {
                        strong { (what) } ": done. " (whole(*instances, "proxy serves", "proxies serve")) " it, "
                        (whole(*waited_for, "transaction", "transactions")) " waited for."
                    } })),
                    Some(Ended::Refused(why)) => (verdict(Mood::Bad, &html! {
                        p { strong { (what) } ": refused." }
                        p { (prose(why)) }
                    })),
                }
            }
            @if !activity.lines.is_empty() {
                details open[activity.ended.is_none()] {
                    summary { "What was told" }
                    ul.log { @for line in &activity.lines { li { (prose(line)) } } }
                }
            }
        }
    }
}

fn whole(number: usize, one: &str, several: &str) -> String {
    many(i64::try_from(number).unwrap_or(i64::MAX), one, several)
}

fn throughput(trends: &Trends) -> Markup {
    let minutes = (trends.points.len() as f64 * EVERY.as_secs_f64() / 60.0).ceil();
    html! {
        section.card aria-labelledby="throughput" {
            header {
                h2 id="throughput" { "What goes on" }
                span.quiet.small { "rows a second, as the server counts them" }
            }
            @if trends.points.is_empty() {
                p.quiet { "Looked at every " (EVERY.as_secs()) " s; a moment." }
            } @else {
                div.charts {
                    (chart("read", minutes, &trends.points, &[
                        Line { class: "old", name: "old", of: |p| p.old_read },
                        Line { class: "new", name: "new", of: |p| p.new_read },
                    ]))
                    (chart("written", minutes, &trends.points, &[
                        Line { class: "old", name: "old", of: |p| p.old_written },
                        Line { class: "new", name: "new", of: |p| p.new_written },
                    ]))
                    (chart("fell back", minutes, &trends.points, &[
                        Line { class: "old", name: "fallbacks", of: |p| p.fallbacks },
                    ]))
                    (chart("diverged", minutes, &trends.points, &[
                        Line { class: "bad", name: "divergences", of: |p| p.divergences },
                    ]))
                }
            }
        }
    }
}

struct Line {
    class: &'static str,
    name: &'static str,
    of: fn(&Point) -> f64,
}

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 72.0;

/// The drawing is for eyes; what it says stands in its caption.
fn chart(what: &str, minutes: f64, points: &[Point], lines: &[Line]) -> Markup {
    let highest = lines.iter().flat_map(|line| points.iter().map(line.of));
    let highest = highest.fold(0.0, f64::max);
    html! {
        figure {
            figcaption {
                span { "rows " (what) }
                span {
                    @for line in lines {
                        span class={ "key " (line.class) } { (line.name) " " (rate(points.last().map_or(0.0, line.of))) } " "
                    }
                }
            }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" aria-hidden="true" {
                line.axis x1="0" x2=(WIDTH) y1=(HEIGHT - 1.0) y2=(HEIGHT - 1.0) {}
                @for line in lines {
                    @let path = path(points, line.of, highest);
                    path class={ "area " (line.class) } d={ (path) " V" (HEIGHT) " H0 Z" } {}
                    path class={ "line " (line.class) } d=(path) {}
                }
            }
            span.quiet.small { "at most " (rate(highest)) " in " (minutes) " min" }
        }
    }
}

/// From the left edge to the right one, however few points there are.
fn path(points: &[Point], of: fn(&Point) -> f64, highest: f64) -> String {
    let last = points.len().saturating_sub(1).max(1) as f64;
    let height = |value: f64| {
        let share = if highest > 0.0 { value / highest } else { 0.0 };
        HEIGHT - 2.0 - share * (HEIGHT - 6.0)
    };
    let mut path = String::new();
    for (at, point) in points.iter().enumerate() {
        let x = at as f64 / last * WIDTH;
        let command = if at == 0 { 'M' } else { 'L' };
        path += &format!("{command}{x:.1} {:.1}", height(of(point)));
    }
    if let [only] = points {
        path += &format!("L{WIDTH:.1} {:.1}", height(of(only)));
    }
    path
}

fn rate(rate: f64) -> String {
    match rate {
        r if r > 0.0 && r < 9.95 => format!("{r:.1}/s"),
        r => format!("{}/s", count(r.round() as i64)),
    }
}
