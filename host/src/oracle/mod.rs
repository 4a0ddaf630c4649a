//! Sandboxed judges: loading components, judging batches, hot swap.

pub mod build;
