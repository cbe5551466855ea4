//! `crossfade infer`: drafts a rule file from a live database, to standard output.

use std::process::ExitCode;

use crate::infer;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The table that the application knows, as schema.table
    #[arg(long)]
    legacy: String,
    /// The table that its rows are to move to
    #[arg(long)]
    unified: String,
    /// A connection to the application's database; a password belongs in the variable or a password
    /// file (`passfile=FILE` in the string, PGPASSFILE, or ~/.pgpass), not in a command line
    #[arg(long, env = "CROSSFADE_CONTROL_URL", hide_env_values = true)]
    control: String,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    print!(
        "{}",
        infer::run(&args.control, &args.legacy, &args.unified).await?
    );
    Ok(ExitCode::SUCCESS)
}
