//! The hazards that experiments found: what is lost where two sides are written without care.

mod concurrent;
mod values;
