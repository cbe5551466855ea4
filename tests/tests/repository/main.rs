//! What stands beside the code: documents whose links lead somewhere, and scripts that find out
//! what a machine lacks.

mod documents;
mod imports;
mod machine;
mod markdown;
mod refusals;
mod sources;
