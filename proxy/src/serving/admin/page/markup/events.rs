//! What operators and proxies did.

use maud::{Markup, html};
use serde_json::Value;

use super::super::model::{History, Visitor};
use super::frame::Page;
use super::parts::{Mood, badge, in_address, moment_of, path_of};
use crate::control::history::Event;

/// The last of one migration, beside it.
pub(super) fn card(migration: &str, events: &[Event]) -> Markup {
    html! {
        section.card aria-labelledby="events" {
            header { h2 id="events" { "Events" }
                a href=(more(Some(migration), None)) { "All" } }
            @if events.is_empty() { p.quiet { "None yet." } }
            ul.log { @for event in events { (line(event, false)) } }
        }
    }
}

pub(in super::super) fn history(found: &History, visitor: &Visitor) -> Markup {
    let title = match &found.migration {
        Some(migration) => format!("Events of {migration}"),
        None => "Events".to_owned(),
    };
    let page = Page {
        title: &title,
        visitor: Some(visitor),
        at: "/events",
        live: false,
    };
    page.with(&html! {
        div.heading { h1 { (title) } }
        @if found.migration.is_some() { p.lead { a href="/events" { "Of all migrations" } } }
        section.card {
            @if found.events.is_empty() { p.quiet { "None." } }
            ul.log { @for event in &found.events { (line(event, found.migration.is_none())) } }
            @if let Some(older) = found.older {
                p { a href=(more(found.migration.as_deref(), Some(older))) { "Older ones" } }
            }
        }
    })
}

fn more(migration: Option<&str>, before: Option<i64>) -> String {
    let migration = migration.map(|name| format!("migration={}", in_address(name)));
    let before = before.map(|id| format!("before={id}"));
    let asked: Vec<String> = migration.into_iter().chain(before).collect();
    match asked.as_slice() {
        [] => "/events".to_owned(),
        asked => format!("/events?{}", asked.join("&")),
    }
}

fn line(event: &Event, names: bool) -> Markup {
    html! {
        li {
            div {
                strong { (event.kind) }
                @if let (Some(from), Some(to)) = (&event.from, &event.to) { " " (from) " → " (to) }
                @if names && !event.migration.is_empty() { " · " a href=(path_of(&event.migration, "")) { (event.migration) } }
                @if event.forced { " " (badge(Mood::Bad, "forced")) }
                @if event.to.is_some() && event.drained_at.is_none() {
                    " " (badge(Mood::Unsure, "not seen to be drained"))
                }
            }
            @if let Some(reason) = &event.reason { div { "“" (reason) "”" } }
            div.when { (moment_of(&event.at)) " by " (event.os_user) "@" (event.host) " as " (event.db_user) }
            @if let Some(gates) = event.gates.as_ref().and_then(Value::as_array) {
                details { summary { "What the gates said" } ul.plain.small { @for gate in gates { (gate_of(gate)) } } }
            }
            @if let Some(details) = &event.details {
                details { summary { "What came of it" } (pairs(details)) }
            }
        }
    }
}

fn gate_of(gate: &Value) -> Markup {
    let word = |name: &str| gate[name].as_str().unwrap_or_default();
    let met = gate["met"].as_bool().unwrap_or(false);
    html! {
        li {
            (if met { Mood::Good.icon() } else { Mood::Bad.icon() }) " "
            strong { (word("name")) } " " (if met { "met" } else { "not met" }) ": " (word("found"))
        }
    }
}

/// Fields by their names; of several things, one after the other.
fn pairs(details: &Value) -> Markup {
    html! {
        @match details {
            Value::Object(fields) => dl.pairs { @for (name, value) in fields {
                dt { (name.replace('_', " ")) } dd { (plain(value)) }
            } },
            Value::Array(several) => { @for one in several { (pairs(one)) } },
            other => p { (plain(other)) },
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
