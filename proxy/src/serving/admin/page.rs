//! The page: what an operator sees of the migrations, and the steps that may be taken from it.
//!
//! Each answer is made whole here, of what the database says now; nothing is fetched from elsewhere, and it works without
//! scripts. Whoever looks has logged in. Whoever acts sends a form of the own session, from this very site, with the
//! migration's name typed.

mod act;
mod attempts;
mod entry;
mod looks;
mod markup;
mod model;
mod origin;
mod see;
mod sessions;
mod state;
mod steps;
mod trends;
mod users;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

use crate::control::connection::connect;
use crate::control::error::ControlError;
use crate::control::schema;
use crate::serving::operators::UsersError;
use crate::shared::Shared;
use origin::Hosts;
use state::PageState;
use users::UserFile;

/// The longest form: a reason, a name, a token.
const FORM_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    #[error(
        "[admin] page: the listener is reached from elsewhere, so `hosts` has to say by which names, as browsers write \
         them: [\"crossfade.example.com:9432\"]"
    )]
    Hosts,
    #[error(transparent)]
    Users(#[from] UsersError),
    #[error("[admin] page: {0}")]
    Control(#[from] ControlError),
}

/// The page, where it is switched on.
#[derive(Debug)]
pub(super) struct Page {
    state: Arc<PageState>,
    url: String,
}

impl Page {
    /// `None` where the configuration switches it on not. It is checked that it has users and a control URL then.
    pub fn new(shared: &Arc<Shared>, listens: SocketAddr) -> Result<Option<Page>, PageError> {
        let admin = &shared.config.admin;
        let (true, Some(users), Some(url)) = (
            admin.page,
            &shared.config.console.users,
            &shared.config.control.url,
        ) else {
            return Ok(None);
        };
        let hosts = Hosts::of(&admin.hosts, listens, admin.tls_in_front).ok_or(PageError::Hosts)?;
        if !listens.ip().is_loopback() && !admin.tls_in_front {
            tracing::warn!(
                "passwords for the page cross the network in clear: put TLS in front of [admin] listen, and say \
                 `tls_in_front = true`"
            );
        }
        let users = UserFile::new(PathBuf::clone(users))?;
        let state = PageState::new(shared, url, hosts, listens.port(), users)?;
        Ok(Some(Page {
            state: Arc::new(state),
            url: url.clone(),
        }))
    }

    pub fn routes(&self) -> Router {
        let policy = policy();
        Router::new()
            .route("/", get(see::overview))
            .route("/proxies", get(see::proxies))
            .route("/events", get(see::events))
            .route("/login", get(entry::door).post(entry::enter))
            .route("/logout", post(entry::leave))
            .route("/migrations/{name}", get(see::migration))
            .route("/migrations/{name}/gates", post(act::gates))
            .route("/migrations/{name}/backfill", post(act::backfill))
            .route(
                "/migrations/{name}/advance",
                get(act::ask_advance).post(act::advance),
            )
            .route(
                "/migrations/{name}/rollback",
                get(act::ask_rollback).post(act::rollback),
            )
            .fallback(see::nothing)
            .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
            .layer(middleware::from_fn_with_state(
                (Arc::clone(&self.state), policy),
                guard,
            ))
            .with_state(Arc::clone(&self.state))
    }

    /// Looks at what goes on, for the page to show how it went. Ends never.
    pub async fn watch(&self) {
        let mut told = String::new();
        loop {
            if let Err(error) = self.looks().await {
                // A database that stays away is told of once.
                let error = error.to_string();
                if error != told {
                    tracing::warn!(error, "the page cannot tell what goes on");
                    told = error;
                }
            }
            tokio::time::sleep(trends::EVERY).await;
        }
    }

    /// Over one connection for as long as it lasts.
    async fn looks(&self) -> Result<(), ControlError> {
        let client = connect(&self.url, "trends").await?;
        loop {
            let generation = self.state.shared.generations.current();
            if schema::is_prepared(&client).await? {
                let rules = generation.rules();
                self.state.watched.look(&client, rules).await?;
            }
            tokio::time::sleep(trends::EVERY).await;
        }
    }
}

/// What a browser may do with an answer: show it, with the styles and the script that are of this build, and send its forms
/// back here.
fn policy() -> HeaderValue {
    let hash = |text: &str| STANDARD.encode(digest(&SHA256, text.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        hash(markup::STYLE),
        hash(markup::SCRIPT)
    );
    // Base64 is no trouble to a header.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// Answers those only that mean this page, and forms only that it has sent itself.
async fn guard(
    State((page, policy)): State<(Arc<PageState>, HeaderValue)>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let is_form = !matches!(*request.method(), Method::GET | Method::HEAD);
    let mut answer = match page.hosts.is_for_us(headers) {
        Err(stranger) => {
            let told = markup::failure("Not answered", &stranger.to_string(), None);
            (StatusCode::MISDIRECTED_REQUEST, Html(told.into_string())).into_response()
        }
        Ok(()) => match page.hosts.is_from_us(headers) {
            Err(stranger) if is_form => {
                let told = markup::failure("Not done", &stranger.to_string(), None);
                (StatusCode::FORBIDDEN, Html(told.into_string())).into_response()
            }
            Ok(()) | Err(_) => next.run(request).await,
        },
    };
    let fixed = [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // With none at all, browsers would not say either from which site a form comes.
        (REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
