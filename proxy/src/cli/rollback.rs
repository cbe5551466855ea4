//! `crossfade rollback`: one phase back.

use std::process::ExitCode;

use super::advance;
use crate::steps::step::StepDirection;

// The group's name would be that of the arguments inside.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    pub step: advance::Args,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    advance::take(StepDirection::Back, &args.step).await
}
