//! Pages of made-up models, in which everything that somebody else may have written is hostile.

use std::time::{Duration, SystemTime};

use maud::Markup;
use rewrite_rules::{Epoch, Phase};
use serde_json::json;

use super::super::model::{
    Activity, Confirmation, Detail, Ended, Gates, History, Overview, Proxies, Sample, Summary,
    Value, Visitor,
};
use super::super::trends::{Point, Trends};
use super::{confirm, failure, history, login, migration, overview, proxies};
use crate::backfill::state::{CopyDirection, CopyProgress, State, Wish};
use crate::control::canary::judge::Margins;
use crate::control::canary::{CanaryRow, Counted};
use crate::control::drain::Blocker;
use crate::control::epochs::OpenEpoch;
use crate::control::events::LastStep;
use crate::control::history::Event;
use crate::control::instances::{Instance, InstanceTotals, Served};
use crate::control::ledger::LedgerEntry;
use crate::control::plans::{PlanFinding, PlanVerdict};
use crate::control::refused::RefusedRules;
use crate::control::results::StatementResult;
use crate::generation::ahead::Canary;
use crate::steps::canary::CanaryView;
use crate::steps::status::Status;
use crate::steps::step::StepDirection;
use crate::steps::views::{GateAnswer, GateRow, HolderRow, Holds, MigrationRow};
use crate::verify::record::Last;

/// What somebody may write wherever text can be written.
const EVIL: &str = "<script>alert(1)</script>\"'&`><img src=x onerror=alert(1)>";

fn evil() -> String {
    EVIL.to_owned()
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_040_271)
}

fn visitor(may_operate: bool) -> Visitor {
    Visitor {
        user: evil(),
        may_operate,
        csrf: evil(),
    }
}

fn row(phase: Phase) -> MigrationRow {
    MigrationRow {
        name: evil(),
        phase,
        epoch: Some(3),
        since: Some(now() - Duration::from_secs(300)),
        by: Some(evil()),
        why: Some(evil()),
        previous: phase.previous(),
        next: phase.next(),
        legacy: vec![evil()],
        unified: vec![evil()],
        misfit: Some(evil()),
    }
}

fn instance(live: bool, drained: bool) -> Instance {
    Instance {
        instance: evil(),
        address: evil(),
        phase: evil(),
        epoch: Some(3),
        generation: 2,
        drained,
        held_by: vec![7],
        p99_ms: Some(3.25),
        seen_seconds_ago: 0.4,
        live,
        counted: InstanceTotals {
            fallbacks: 11,
            divergences: 12,
            shadow_equal: 13,
            shadow_different: 14,
            shadow_failed: 15,
        },
    }
}

fn copy(state: State, wish: Wish, interrupted: bool) -> CopyProgress {
    CopyProgress {
        legacy_table: evil(),
        run: evil(),
        state,
        highest_key: None,
        chunk_rows: 512,
        rows_estimated: 60_000,
        rows_done: 15_000,
        rows_put: 14_000,
        rows_set_aside: 3,
        ghosts_removed: 2,
        interrupted,
        last_chunk: None,
        updated_seconds_ago: 0.5,
        wish,
        rows_per_second_max: Some(1000),
        replica_lag_max_seconds: Some(2.0),
        p99_max_ms: Some(25.0),
        yields: true,
        held_back: None,
        direction: CopyDirection::LegacyToUnified,
    }
}

fn blocker() -> Blocker {
    Blocker {
        virtual_transaction: evil(),
        pid: Some(7),
        user: evil(),
        application: evil(),
        age_seconds: 5.0,
        state: evil(),
        query: evil(),
        address: evil(),
    }
}

fn status(phase: Phase) -> Status {
    Status {
        migration: evil(),
        host: Some(evil()),
        phase: phase.name().to_owned(),
        epoch: Some(3),
        open_epochs: vec![OpenEpoch {
            epoch: 2,
            phase: evil(),
            holders: vec![blocker()],
        }],
        drained: false,
        prepared: true,
        instances: vec![instance(true, false), instance(false, false)],
        rules_refused: vec![RefusedRules {
            address: evil(),
            reason: evil(),
            seconds: 4.0,
        }],
        last_step: Some(LastStep {
            kind: evil(),
            from: evil(),
            to: evil(),
            at: evil(),
            by: evil(),
            forced: true,
            reason: Some(evil()),
            drained: false,
        }),
        put_aside: Vec::new(),
        done: false,
        backfill: vec![copy(State::Running, Wish::Run, false)],
        last_verify: Some(Last {
            clean: false,
            missing: 1,
            extra: 2,
            different: 3,
            after_backfill: false,
            of_these_rules: false,
            age_seconds: 60.0,
            undeclared_columns: vec![evil()],
        }),
        divergence_count: 40,
        divergence: Vec::new(),
        recording: true,
        tombstones: 5,
        days_without_fallback: Some(1.5),
        last_fallback_at: Some(evil()),
        last_divergence_at: Some(evil()),
        coverage: None,
        sequences: None,
        plans: None,
        around: Vec::new(),
        writers_around: Vec::new(),
        direct_writers: Vec::new(),
        direct: vec![evil()],
        holders: vec![blocker()],
        blockers: vec![blocker()],
    }
}

fn holder(holds: Holds, pid: Option<i32>) -> HolderRow {
    HolderRow {
        migration: evil(),
        holds,
        epoch: Some(2),
        phase: Some(evil()),
        pid,
        user: evil(),
        application: evil(),
        address: evil(),
        proxy: Some(evil()),
        state: evil(),
        statement: evil(),
        age_seconds: 5.0,
    }
}

fn gate(answer: GateAnswer) -> GateRow {
    GateRow {
        migration: evil(),
        from: Phase::DualWrite,
        to: Phase::ShadowRead,
        name: "tables",
        answer,
        found: evil(),
        settle: match answer {
            GateAnswer::Met => String::new(),
            GateAnswer::NotMet | GateAnswer::CannotTell => evil(),
        },
    }
}

fn gates(answers: &[GateAnswer]) -> Gates {
    Gates::Known {
        rows: answers.iter().map(|answer| gate(*answer)).collect(),
        age: Duration::from_secs(12),
        looking: false,
    }
}

fn event() -> Event {
    Event {
        id: 7,
        at: evil(),
        migration: evil(),
        kind: evil(),
        from: Some(evil()),
        to: Some(evil()),
        forced: true,
        reason: Some(evil()),
        db_user: evil(),
        os_user: evil(),
        host: evil(),
        drained_at: None,
        time: std::time::SystemTime::UNIX_EPOCH,
        drained_time: None,
        gates: Some(json!([{"name": EVIL, "met": false, "found": EVIL}])),
        details: Some(json!({EVIL: EVIL, "nested": {"x": [EVIL]}})),
    }
}

fn activity(ended: Option<Ended>) -> Activity {
    Activity {
        by: evil(),
        direction: StepDirection::Forward,
        from: Phase::DualWrite,
        to: Phase::ShadowRead,
        began: now(),
        lines: vec![evil()],
        ended,
    }
}

fn detail(phase: Phase) -> Detail {
    use GateAnswer::{CannotTell, Met, NotMet};

    let busy = Point {
        old_read: 9.0,
        ..Point::default()
    };
    let mut trends = Trends::default();
    trends.points = vec![Point::default(), busy];
    Detail {
        row: row(phase),
        status: status(phase),
        holders: [
            Holds::Older,
            Holds::Generation,
            Holds::WriteLock,
            Holds::Newest,
        ]
        .map(|holds| holder(holds, Some(7)))
        .into(),
        gates: gates(&[Met, NotMet, CannotTell]),
        activity: Some(activity(Some(Ended::Refused(evil())))),
        trends,
        ledger: vec![LedgerEntry {
            legacy_table: evil(),
            key: json!([EVIL]),
            reason: evil(),
            sqlstate: evil(),
            times: 2,
            first_at: now(),
            last_at: now(),
        }],
        samples: vec![Sample {
            table: evil(),
            kind: evil(),
            key: evil(),
            columns: vec![
                (evil(), Value::Text(evil()), Value::Null, true),
                ("same".to_owned(), Value::Hidden, Value::Hidden, false),
            ],
        }],
        events: vec![event()],
        canary: Some(canary()),
        statements: vec![result(Some(evil())), result(None)],
        plans: plans(),
    }
}

fn canary() -> CanaryView {
    CanaryView {
        row: CanaryRow {
            canary: Canary {
                id: 1,
                migration: evil(),
                epoch: Epoch(3),
                share: 0.05,
                users: vec![evil()],
                applications: vec![evil()],
            },
            margins: Margins::default(),
            began_at: now(),
            age_seconds: 5.0,
            began_by: evil(),
        },
        phase: Phase::ShadowRead,
        counted: Counted::default(),
    }
}

fn result(statement: Option<String>) -> StatementResult {
    StatementResult {
        statement,
        migration: evil(),
        phase: evil(),
        canary: true,
        calls: 7,
        rows: 8,
        failed: 9,
        refused: 10,
        why: Some(evil()),
        fallbacks: 11,
        mean_ms: Some(1.0),
        p99_ms: Some(2.0),
        last_seen_seconds: 3.0,
        plans: Some(evil()),
    }
}

fn plans() -> Vec<PlanFinding> {
    let scan = PlanVerdict::Scan {
        scanned: evil(),
        pages: 370,
        condition: Some(evil()),
        index_ddl: Some(evil()),
    };
    let cannot_tell = PlanVerdict::CannotTell { reason: evil() };
    [scan, PlanVerdict::Dearer, cannot_tell, PlanVerdict::Same]
        .map(|verdict| PlanFinding {
            migration: evil(),
            phase: evil(),
            statement: evil(),
            calls: 7,
            verdict,
            legacy_cost: Some(8.0),
            cost: Some(8000.0),
            compared_seconds_ago: 300.0,
        })
        .into()
}

/// Every page, as one who may operate or one who may not sees it.
fn pages(may_operate: bool) -> Vec<(&'static str, Markup)> {
    let visitor = visitor(may_operate);
    let mut pages = vec![
        ("login", login(Some(EVIL))),
        ("failure", failure(EVIL, EVIL, Some(&visitor))),
    ];
    for phase in Phase::ALL {
        pages.push(("migration", migration(&detail(phase), &visitor, now())));
        let summary = Summary {
            row: row(phase),
            status: status(phase),
            activity: Some(activity(None)),
        };
        let all = Overview {
            migrations: vec![summary],
        };
        pages.push(("overview", overview(&all, &visitor, now())));
    }
    let asked = Confirmation {
        row: row(Phase::DualWrite),
        direction: StepDirection::Back,
        to: Phase::LegacyOnly,
        gates: Gates::Failed {
            why: evil(),
            age: Duration::from_secs(1),
        },
        holders: vec![holder(Holds::Newest, None)],
        wrong: Some(evil()),
        reason: evil(),
    };
    pages.push(("confirm", confirm(&asked, &visitor)));
    let served = Served {
        migration: evil(),
        instance: instance(true, true),
    };
    let served = Proxies {
        served: vec![served],
    };
    pages.push(("proxies", proxies(&served, &visitor)));
    let found = History {
        migration: Some(evil()),
        events: vec![event()],
        older: Some(7),
    };
    pages.push(("events", history(&found, &visitor)));
    pages
}

#[test]
fn nothing_that_somebody_wrote_becomes_markup() {
    for (name, page) in pages(true).into_iter().chain(pages(false)) {
        let mut page = page.into_string();
        for ours in [super::SCRIPT, super::STYLE] {
            page = page.replace(ours, "");
        }
        assert!(page.contains("&lt;script&gt;alert(1)"), "{name}");
        for evil in ["<script>alert", "<img", "onerror=alert(1)>\""] {
            assert!(!page.contains(evil), "{name}: {page}");
        }
        // Attributes: what closes one is written as an entity.
        assert!(!page.contains("</script>\"'"), "{name}: {page}");
        // As a part of an address it is encoded.
        for link in page.split("href=\"").skip(1) {
            let link = link.split('"').next().unwrap_or_default();
            assert!(!link.contains("script>"), "{name}: {link}");
        }
    }
}

#[test]
fn forms_stand_where_they_may_be_sent_and_each_carries_the_sessions_token() {
    for may_operate in [true, false] {
        for (name, page) in pages(may_operate) {
            let page = page.into_string();
            let forms: Vec<&str> = page.split("<form").skip(1).collect();
            for form in &forms {
                let form = form.split("</form>").next().unwrap_or_default();
                let carries = form.contains("name=\"csrf\"") || name == "login";
                assert!(
                    carries && form.contains("method=\"post\""),
                    "{name}: {form}"
                );
            }
            let dials = page.contains("/backfill\"");
            assert_eq!(dials, may_operate && name == "migration", "{name}");
        }
    }
}

#[test]
fn the_page_says_what_the_next_step_waits_for_and_who_holds_it() {
    let mut found = detail(Phase::DualWrite);
    found.row.name = "agents".to_owned();
    found.holders[0].statement = "UPDATE agents SET name = $1".to_owned();
    let page = migration(&found, &visitor(true), now()).into_string();
    for said in [
        "Next step: dual_write → shadow_read",
        "The step to dual_write waits for 1 proxy and 1 transaction.",
        "Of 3 gates 1 is not met, and of 1 nobody can tell.",
        "<code>UPDATE agents SET name = $1</code>",
        "fence that is over",
        "epoch 2",
        "cannot tell",
        "1 transaction in this phase now, for which the next step would wait",
        "Advance to shadow_read…",
        "Roll back to legacy_only…",
        "href=\"/migrations/agents/advance\"",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let page = migration(&found, &visitor(false), now()).into_string();
    assert!(!page.contains("/migrations/agents/advance"), "{page}");
    assert!(
        page.contains("Steps are for users who may operate."),
        "{page}"
    );
}

#[test]
fn the_page_says_which_statements_would_be_planned_worse_and_no_others() {
    let mut found = detail(Phase::DualWrite);
    found.row.name = "agents".to_owned();
    let page = migration(&found, &visitor(false), now()).into_string();
    for said in [
        "Plan regressions",
        "compared 5 min ago",
        "370 pages",
        "dearer ×1000",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(!page.contains("cannot be compared"), "{page}");
    found.plans.drain(..2);
    let page = migration(&found, &visitor(false), now()).into_string();
    let said = "None is known. <code>crossfade coverage agents --plans</code> looks again";
    assert!(page.contains(said), "{page}");
    found.plans.clear();
    let page = migration(&found, &visitor(false), now()).into_string();
    assert!(page.contains("never compared"), "{page}");
}

#[test]
fn a_free_way_is_told_as_one_and_the_last_phase_has_none() {
    let mut found = detail(Phase::DualWrite);
    found.status.drained = true;
    found.holders.clear();
    found.gates = gates(&[GateAnswer::Met, GateAnswer::Met]);
    let page = migration(&found, &visitor(true), now()).into_string();
    let said = "Nothing stands in its way: all 2 gates are met.";
    assert!(page.contains(said), "{page}");
    let mut found = detail(Phase::Retired);
    found.gates = Gates::NoStep;
    let page = migration(&found, &visitor(true), now()).into_string();
    assert!(
        page.contains("No step is left") && !page.contains("/advance\""),
        "{page}"
    );
}

#[test]
fn a_backfill_says_how_far_it_is_and_what_holds_it() {
    let mut found = detail(Phase::DualWrite);
    let page = migration(&found, &visitor(true), now()).into_string();
    for said in [
        "value=\"25.0\"",
        "at most 1\u{202f}000 rows/s",
        "gives way to others",
        "not known yet",
        "Pause",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    found.status.backfill = vec![copy(State::Running, Wish::Pause, false)];
    let page = migration(&found, &visitor(true), now()).into_string();
    assert!(page.contains("paused") && page.contains("Go on"), "{page}");
    found.status.backfill = vec![copy(State::Running, Wish::Run, true)];
    let page = migration(&found, &visitor(true), now()).into_string();
    assert!(
        page.contains("interrupted") && !page.contains("Pause"),
        "{page}"
    );
}

#[test]
fn columns_that_differ_are_marked() {
    let page = migration(&detail(Phase::DualWrite), &visitor(true), now()).into_string();
    assert_eq!(page.matches("class=\"differs\"").count(), 1, "{page}");
    assert!(page.contains(", differs"), "{page}");
}

#[test]
fn a_step_under_way_or_ended_is_told_of() {
    let mut found = detail(Phase::DualWrite);
    for (ended, said) in [
        (None, "is under way."),
        (Some(Ended::Refused("no".to_owned())), ": refused."),
        (
            Some(Ended::Taken {
                instances: 1,
                waited_for: 2,
            }),
            ": done. 1 proxy serves it, 2 transactions waited for.",
        ),
    ] {
        found.activity = Some(activity(ended));
        let page = migration(&found, &visitor(true), now()).into_string();
        assert!(page.contains(said), "{said}: {page}");
    }
}

#[test]
fn every_control_has_a_name_and_every_table_a_caption() {
    for (name, page) in pages(true) {
        let page = page.into_string();
        for id in ["user", "password", "name", "reason", "rows"] {
            let controls = page.matches(&format!(" id=\"{id}\"")).count();
            let labels = page.matches(&format!("<label for=\"{id}\"")).count();
            assert_eq!(controls, labels, "{name}: {id}");
        }
        let tables = page.matches("<table").count();
        assert_eq!(tables, page.matches("<caption").count(), "{name}");
        assert_eq!(page.matches("<h1").count(), 1, "{name}");
        assert_eq!(page.matches("<main").count(), 1, "{name}");
        assert!(page.contains("<html lang=\"en\">"), "{name}");
    }
}
