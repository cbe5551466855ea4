//! Who plays the application: the broker's two versions, or the watched application of any shipped
//! migration. Knows of both that they start, stop and compare.

use std::sync::Arc;

use anyhow::Context;
use rewrite_rules::Phase;
use tokio_postgres::Client;

use crate::board::Board;
use crate::broker;
use crate::cast::Cast;
use crate::check::{self, Verdict};
use crate::mirror::Mirror;
use crate::operator::politely;
use crate::piece::{Files, Piece};
use crate::stage::Stage;
use crate::{Options, client};

/// Rows of the broker's table at the start unless somebody asks for another number.
const BROKER_ROWS: u32 = 10_000;

pub enum Players {
    /// Two versions of one application, with a model of every row.
    Broker(Cast),
    /// One application, and its twin on a database that is left alone.
    Mirror(Mirror, Arc<Piece>),
}

/// What the story has to say of the tables.
#[derive(Clone, Debug)]
pub struct Words {
    pub migration: String,
    pub from: String,
    pub to: String,
    /// Of which relation of each side the rows are counted.
    pub counted: [String; 2],
}

impl Words {
    /// A text of the story.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        text.replace("{migration}", &self.migration)
            .replace("{from}", &self.from)
            .replace("{to}", &self.to)
    }
}

impl Players {
    /// Sets the stage: server, tables and rows, the proxy; and starts the application.
    pub async fn enter(
        options: &Options,
        board: &Arc<Board>,
    ) -> anyhow::Result<(Stage, Self, Words)> {
        match options.migration {
            None => Self::broker(options, board).await,
            Some(files) => Self::mirror(files, options, board).await,
        }
    }

    async fn broker(options: &Options, board: &Arc<Board>) -> anyhow::Result<(Stage, Self, Words)> {
        let mut stage = Stage::build(&options.program, "").await?;
        let owner = client::connect(&stage.direct_url(), "setup").await?;
        broker::fill(&owner, options.rows.unwrap_or(BROKER_ROWS)).await?;
        let shipped = Files::find(broker::MIGRATION)?.rules;
        stage
            .serve(broker::MIGRATION, &broker::rules(shipped)?)
            .await?;
        let operator = client::connect(&stage.operator_url(), "operator").await?;
        let mut cast = Cast::gather(&operator, stage.url(), Arc::clone(board)).await?;
        cast.start_old();
        let words = Words {
            migration: broker::MIGRATION.to_owned(),
            from: "iso_agents".to_owned(),
            to: "users".to_owned(),
            counted: ["iso_agents".to_owned(), "users".to_owned()],
        };
        Ok((stage, Players::Broker(cast), words))
    }

    async fn mirror(
        files: Files,
        options: &Options,
        board: &Arc<Board>,
    ) -> anyhow::Result<(Stage, Self, Words)> {
        let piece = Arc::new(files.read()?);
        let rows = options
            .rows
            .unwrap_or(piece.rows)
            .max(crate::mirror::words::CLIENTS);
        let mut stage = Stage::build(&options.program, &piece.roles).await?;
        for url in [stage.direct_url(), stage.alone_url()] {
            let owner = client::connect(&url, "setup").await?;
            let legacy = owner.batch_execute(&piece.legacy(rows)).await;
            legacy.context("making the legacy tables")?;
        }
        let owner = client::connect(&stage.direct_url(), "setup").await?;
        let unified = owner.batch_execute(piece.unified()).await;
        unified.context("making the unified tables")?;
        let mut rules = broker::begin(&piece.rules)?;
        if piece.row_security {
            rules["table"][0]["row_security"] = toml_edit::value(true);
        }
        stage.serve(&piece.name, &rules.to_string()).await?;
        let urls = [stage.url(), stage.alone_url()];
        let mut mirror = Mirror::new(Arc::clone(&piece), rows, urls, Arc::clone(board));
        mirror.start();
        let words = Words {
            migration: piece.name.clone(),
            from: piece.from.clone(),
            to: piece.to.clone(),
            counted: piece.counted.clone(),
        };
        Ok((stage, Players::Mirror(mirror, piece), words))
    }

    #[must_use]
    pub fn has_new_version(&self) -> bool {
        match self {
            Players::Broker(_) => true,
            Players::Mirror(..) => false,
        }
    }

    /// The new version joins, where there is one.
    pub fn start_new(&mut self) {
        match self {
            Players::Broker(cast) => cast.start_new(),
            Players::Mirror(..) => {}
        }
    }

    /// The demo's own comparison, while the application runs.
    pub async fn compare_sides(&self, operator: &Client) -> anyhow::Result<Verdict> {
        match self {
            Players::Broker(_) => check::sides(operator).await,
            Players::Mirror(mirror, _) => mirror.compare().await,
        }
    }

    /// Whether foreign keys lead to legacy from elsewhere.
    #[must_use]
    pub fn has_references(&self) -> bool {
        !self.turn().is_empty()
    }

    fn turn(&self) -> &str {
        match self {
            Players::Broker(_) => broker::REFER_TO_UNIFIED,
            Players::Mirror(_, piece) => &piece.turn,
        }
    }

    /// Has foreign keys turned by hand.
    pub async fn refer_to_unified(&self, operator: &Client) -> anyhow::Result<()> {
        politely(operator, self.turn()).await
    }

    /// What an operator runs by hand to take legacy away, and whether `crossfade retire` says the rest.
    #[must_use]
    pub fn gone(&self) -> (&str, bool) {
        match self {
            Players::Broker(_) => (broker::PUT_AWAY, false),
            Players::Mirror(_, piece) => (&piece.gone, !piece.gone_by_hand),
        }
    }

    /// Lets every client finish what it is at.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        match self {
            Players::Broker(cast) => cast.stop().await,
            Players::Mirror(mirror, _) => mirror.stop().await,
        }
    }

    /// What the clients know against what is there, once they are stopped.
    pub async fn compare(&self, operator: &Client, phase: Phase) -> anyhow::Result<Verdict> {
        match self {
            Players::Broker(cast) if phase >= Phase::DualRead => cast.compare(operator).await,
            Players::Broker(_) => Ok(Verdict::default()),
            Players::Mirror(mirror, _) => mirror.compare().await,
        }
    }
}
