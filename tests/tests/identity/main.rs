//! What passes through passes unaltered, byte for byte.

mod protocol;
mod regress;
