//! SQL of a person, over all that a flow ever kept. It reads and changes
//! nothing, so nobody writes down who asked.

use std::time::Duration;

use super::types::AdHoc;
use super::{Admin, Error};
use floodgate_archive_client::{Answer, Query};

/// A person may wait longer than a client, and not for good.
const LONGEST: Duration = Duration::from_secs(600);

pub(super) async fn query(admin: &Admin, asked: &AdHoc) -> Result<Answer, Error> {
    let flow = admin.flow(&asked.flow)?;
    let sent = Query {
        flow: flow.name.as_str(),
        sql: &asked.sql,
        parameters: &asked.parameters,
        timeout_ms: asked.timeout_ms.clamp(1, LONGEST.as_millis() as u64),
        cache_ms: 0,
        explain: asked.explain,
    };
    Ok(admin.archive.query(&sent).await?)
}
