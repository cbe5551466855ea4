//! `crossfade rollback`: one phase back.

use std::process::ExitCode;

use super::advance;
use crate::control::step::Direction;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub step: advance::Args,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    advance::take(Direction::Back, &args.step).await
}
