//! stub

pub mod oracle_check;
