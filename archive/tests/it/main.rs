//! The archive on real ledgers and real files.

mod erasing;
mod faults;
mod killed;
mod merging;
mod moving;
mod querying;
mod support;
