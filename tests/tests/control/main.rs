//! What operators do and see: check, gates, steps, backfill, verify, retire, and the demo.

mod admission;
mod back;
mod backfill;
mod check;
mod columns;
mod coverage;
mod databases;
mod deferred;
mod demo;
mod direct;
mod gates;
mod ghosts;
mod holders;
mod identity;
mod infer;
mod killed;
mod lookups;
mod matrix;
mod retire;
mod rights;
mod roles;
mod schema;
mod shadow;
mod steps;
mod trust;
mod verify;
