//! What all HTTP in this process has in common, on either side of a connection.

pub(crate) mod client;
pub(crate) mod origin;
