//! What is done for whoever may operate: steps, and the dials of a backfill.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Extension;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;

use super::entry::{OwnForm, Seen, is_own_form, not_own_form};
use super::markup::{self, REASON_CHARS_MAX};
use super::model::{Activity, Visitor};
use super::see::failed;
use super::state::{NoPage, PageState, as_sent};
use crate::backfill::state::{self, Speed, Wish};
use crate::control::error::ControlError;
use crate::control::events::{self, Actor};
use crate::serving::admin::connections::Peer;
use crate::serving::operate::Operator;
use crate::steps::step::StepDirection;
use crate::steps::walk::Walk;

/// A step that ends within this is shown as one that has ended; a longer one goes on beside the page.
const AT_ONCE: Duration = Duration::from_secs(2);

fn not_allowed(visitor: &Visitor) -> Response {
    let why = "Steps and dials are for users whose role is `operate`.";
    let page = markup::failure("Not done", why, Some(visitor));
    (StatusCode::FORBIDDEN, Html(page.into_string())).into_response()
}

/// Who it is, for the record.
fn actor(visitor: &Visitor, peer: Peer) -> Actor {
    Actor {
        user: format!("{} (page)", visitor.user),
        from: peer.0.ip().to_canonical().to_string(),
    }
}

fn back_to(migration: &str) -> Response {
    Redirect::to(&markup::path_of(migration, "")).into_response()
}

pub(super) async fn ask_advance(
    page: State<Arc<PageState>>,
    seen: Seen,
    name: Path<String>,
) -> Response {
    ask(&page, seen, &name, StepDirection::Forward).await
}

pub(super) async fn ask_rollback(
    page: State<Arc<PageState>>,
    seen: Seen,
    name: Path<String>,
) -> Response {
    ask(&page, seen, &name, StepDirection::Back).await
}

async fn ask(page: &PageState, seen: Seen, name: &str, direction: StepDirection) -> Response {
    let Seen(visitor) = seen;
    if !visitor.may_operate {
        return not_allowed(&visitor);
    }
    match page.confirmation(name, direction).await {
        Ok(asked) => Html(markup::confirm(&asked, &visitor).into_string()).into_response(),
        Err(why) => failed(&why, &visitor),
    }
}

#[derive(Deserialize)]
pub(super) struct StepForm {
    #[serde(default)]
    csrf: String,
    /// Where the migration stood and where the step leads, as the form showed it.
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    /// The migration's name, typed.
    #[serde(default)]
    name: String,
    #[serde(default)]
    reason: String,
}

pub(super) async fn advance(
    State(page): State<Arc<PageState>>,
    Seen(visitor): Seen,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
    Form(form): Form<StepForm>,
) -> Response {
    step(&page, &visitor, peer, &name, StepDirection::Forward, form).await
}

pub(super) async fn rollback(
    State(page): State<Arc<PageState>>,
    Seen(visitor): Seen,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
    Form(form): Form<StepForm>,
) -> Response {
    step(&page, &visitor, peer, &name, StepDirection::Back, form).await
}

async fn step(
    page: &Arc<PageState>,
    visitor: &Visitor,
    peer: Peer,
    name: &str,
    direction: StepDirection,
    form: StepForm,
) -> Response {
    if !is_own_form(visitor, &form.csrf) {
        return not_own_form(visitor);
    }
    if !visitor.may_operate {
        return not_allowed(visitor);
    }
    let row = match page.row(name).await {
        Ok(row) => row,
        Err(why) => return failed(&why, visitor),
    };
    let Some((from, to)) = as_sent(&form.from, &form.to, direction) else {
        return failed(&NoPage::NoStep, visitor);
    };
    let reason = form.reason.trim();
    let wrong = if row.phase != from {
        let at = row.phase;
        Some(format!(
            "{name} was in {from} when this form was made and is in {at} now: somebody else took a step. Nothing was done."
        ))
    } else if form.name.trim() != name {
        Some(format!(
            "The name that was typed is not `{name}`. Nothing was done."
        ))
    } else if reason.chars().count() > REASON_CHARS_MAX {
        Some(format!(
            "The reason is longer than {REASON_CHARS_MAX} characters. Nothing was done."
        ))
    } else {
        None
    };
    if let Some(wrong) = wrong {
        return again(page, visitor, name, direction, (wrong, form.reason)).await;
    }
    let by = actor(visitor, peer);
    let activity = Activity {
        by: by.to_string(),
        direction,
        from,
        to,
        began: SystemTime::now(),
        lines: Vec::new(),
        ended: None,
    };
    let walk = Walk {
        reason: (!reason.is_empty()).then(|| reason.to_owned()),
        from: Some(from),
        ..Walk::new(name, direction, None, by.clone())
    };
    let start = || Operator::new(&page.shared, by).start(walk);
    let begun = page
        .steps
        .begin(&page.shared.runtime, name, activity, start);
    match begun {
        Ok(ended) => {
            has_ended(ended).await;
            back_to(name)
        }
        Err(under_way) => {
            let wrong = format!("{under_way}. Nothing was done.");
            again(page, visitor, name, direction, (wrong, form.reason)).await
        }
    }
}

/// Until the step has ended, or takes longer than anybody waits for a page.
async fn has_ended(mut ended: watch::Receiver<bool>) {
    let ends = ended.wait_for(|ended| *ended);
    let _ = tokio::time::timeout(AT_ONCE, ends).await;
}

/// The form once more, with what was wrong with it.
async fn again(
    page: &PageState,
    visitor: &Visitor,
    name: &str,
    direction: StepDirection,
    (wrong, reason): (String, String),
) -> Response {
    match page.confirmation(name, direction).await {
        Ok(mut asked) => {
            asked.wrong = Some(wrong);
            asked.reason = reason;
            let page = markup::confirm(&asked, visitor).into_string();
            (StatusCode::CONFLICT, Html(page)).into_response()
        }
        Err(NoPage::NoStep) => {
            let page = markup::failure("Not done", &wrong, Some(visitor));
            (StatusCode::CONFLICT, Html(page.into_string())).into_response()
        }
        Err(why) => failed(&why, visitor),
    }
}

/// Has the gates looked at again, for whoever may look.
pub(super) async fn gates(
    State(page): State<Arc<PageState>>,
    Seen(visitor): Seen,
    Path(name): Path<String>,
    Form(form): Form<OwnForm>,
) -> Response {
    if !is_own_form(&visitor, &form.csrf) {
        return not_own_form(&visitor);
    }
    match page.row(&name).await {
        Ok(row) => {
            page.gates(&row, StepDirection::Forward, true);
            back_to(&name)
        }
        Err(why) => failed(&why, &visitor),
    }
}

#[derive(Deserialize)]
pub(super) struct DialForm {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    dial: String,
    rows_per_second: Option<i64>,
}

pub(super) async fn backfill(
    State(page): State<Arc<PageState>>,
    Seen(visitor): Seen,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
    Form(form): Form<DialForm>,
) -> Response {
    if !is_own_form(&visitor, &form.csrf) {
        return not_own_form(&visitor);
    }
    if !visitor.may_operate {
        return not_allowed(&visitor);
    }
    let (wish, speed) = match (form.dial.as_str(), form.rows_per_second) {
        ("pause", _) => (Some(Wish::Pause), Speed::default()),
        ("resume", _) => (Some(Wish::Run), Speed::default()),
        ("speed", Some(rows)) if (0..=ROWS_PER_SECOND_MAX).contains(&rows) => (
            None,
            Speed {
                rows_per_second_max: Some(rows),
                ..Speed::default()
            },
        ),
        _ => {
            let why = format!(
                "A backfill is paused, goes on, or is held to 0 (no limit) to {ROWS_PER_SECOND_MAX} rows a second."
            );
            let page = markup::failure("Not done", &why, Some(&visitor));
            return (StatusCode::BAD_REQUEST, Html(page.into_string())).into_response();
        }
    };
    let dialled = dial(&page, &name, (wish, speed), &actor(&visitor, peer)).await;
    match dialled {
        Ok(()) => back_to(&name),
        Err(why) => failed(&why, &visitor),
    }
}

const ROWS_PER_SECOND_MAX: i64 = 100_000_000;

/// Changes what is wanted of a backfill under way, on the record.
async fn dial(
    page: &PageState,
    name: &str,
    (wish, speed): (Option<Wish>, Speed),
    by: &Actor,
) -> Result<(), NoPage> {
    page.row(name).await?;
    let client = page.client().await?;
    let runs = state::adjust(&client, name, wish, speed).await?;
    if runs == 0 {
        let why = format!("no backfill of {name} is under way");
        return Err(ControlError::Refused(why).into());
    }
    let details = json!({
        "wish": wish.map(Wish::name),
        "rows_per_second_max": speed.rows_per_second_max,
    });
    events::note_by(&client, name, "backfill adjusted", &details, by).await?;
    Ok(())
}
