//! The admin listener, where it is configured:
//!
//! | path | |
//! |---|---|
//! | `/metrics` | what the proxy counts, in OpenMetrics' text for who asks for that, else in Prometheus' own |
//! | `/healthz` | 200: the process answers |
//! | `/readyz` | 200 if clients may be sent here, else 503; the phases served, and why not, as JSON |
//!
//! Nothing that a client wrote stands in any of these answers. Where `[admin] page` is on there is the page as well ([`page`]),
//! for users who log in.

mod connections;
mod metrics;
mod page;
mod process;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use rewrite_rules::Held;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::shared::Shared;
use connections::ConnectionLimits;
use metrics::Format;

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct AdminError(#[from] WhyNot);

#[derive(Debug, thiserror::Error)]
enum WhyNot {
    #[error("cannot listen on {address} ([admin] listen): {source}")]
    Listen { address: String, source: io::Error },
    #[error(transparent)]
    Page(#[from] page::PageError),
}

/// The listener, or none.
#[derive(Debug)]
pub struct Admin {
    listener: Option<TcpListener>,
    page: Option<page::Page>,
    shared: Arc<Shared>,
}

impl Admin {
    pub async fn bind(shared: &Arc<Shared>) -> Result<Admin, AdminError> {
        let (listener, page) = match &shared.config.admin.listen {
            None => (None, None),
            Some(address) => {
                let (listener, listens) = listen(address).await?;
                let page = page::Page::new(shared, listens).map_err(WhyNot::from)?;
                (Some(listener), page)
            }
        };
        Ok(Admin {
            listener,
            page,
            shared: Arc::clone(shared),
        })
    }

    /// Answers for as long as it is polled. What goes wrong with one connection ends that one.
    pub async fn run(self) {
        let Some(listener) = self.listener else {
            return std::future::pending().await;
        };
        let address = listener.local_addr().map(|a: SocketAddr| a.to_string());
        let address = address.unwrap_or_default();
        tracing::info!("the admin listener is on {address}");
        let mut paths = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .with_state(self.shared);
        if let Some(page) = &self.page {
            tracing::info!("the page is on {address}");
            paths = paths.merge(page.routes());
        }
        let serves = connections::serve(listener, paths, ConnectionLimits::default());
        let watches = async {
            match &self.page {
                Some(page) => page.watch().await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(serves, watches);
    }
}

async fn listen(address: &str) -> Result<(TcpListener, SocketAddr), WhyNot> {
    let failed = |source| WhyNot::Listen {
        address: address.to_owned(),
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let listens = listener.local_addr().map_err(failed)?;
    Ok((listener, listens))
}

async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> impl IntoResponse {
    let accepted = headers.get_all(ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    let format = if accepted.any(|value| value.contains(Format::OpenMetrics.media_type())) {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    };
    (
        [(CONTENT_TYPE, format.content_type())],
        metrics::text(shared, format),
    )
}

async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let why_not = why_not_ready(&shared);
    let generation = shared.generations.current();
    let phases: Map<String, Value> = generation
        .phases()
        .map(|(migration, phase)| (migration.to_owned(), phase.name().into()))
        .collect();
    let status = if why_not.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({
        "ready": why_not.is_empty(), "why_not": why_not, "generation": generation.number(), "migrations": phases,
        "rules_refused": refused(&shared), "upstream": shared.upstream.in_use().map(ToString::to_string),
    });
    (status, Json(body))
}

/// What the rule files say and is not in force.
fn refused(shared: &Shared) -> Vec<String> {
    let refused = shared.rules_refused().into_iter();
    let line = |(migration, why): (String, String)| match migration.as_str() {
        "" => why,
        named => format!("{named}: {why}"),
    };
    refused.map(line).collect()
}

/// Whether it serves what is in force: what its files propose is no reason where the database decides, for the same files
/// may be everywhere. Nor is it that the server is away: no other proxy would reach it either.
fn why_not_ready(shared: &Shared) -> Vec<String> {
    let generation = shared.generations.current();
    let mut reasons = match &shared.config.control.url {
        None => refused(shared),
        Some(_) => {
            let misfits = generation.misfits();
            let misfits = misfits.map(|(name, why)| format!("{name}: {why}"));
            let unknown = generation.rules().migrations().iter();
            let unknown = unknown.filter(|migration| migration.held == Held::Unknown);
            let unknown =
                unknown.map(|m| format!("{}: which epoch is in force is not known", m.name));
            misfits.chain(unknown).collect()
        }
    };
    if shared.stop.is_stopping() {
        reasons.push("it is shutting down".to_owned());
    }
    reasons
}
