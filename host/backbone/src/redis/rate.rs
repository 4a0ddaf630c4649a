use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;

use super::connection::Server;
use super::keys;
use super::script::script;
use crate::{Cost, Error, Tokens};
use floodgate_flow::{FlowName, Rate};

static TAKE_TOKENS: LazyLock<Script> = LazyLock::new(|| script!("take_tokens"));

pub(super) async fn take_tokens(
    server: &Server,
    flow: &FlowName,
    bucket: &str,
    rate: Rate,
    cost: Cost,
) -> Result<Tokens, Error> {
    let mut connection = server.connection().await?;
    let (taken, left, wait, full): (bool, u32, u64, u64) = TAKE_TOKENS
        .key(keys::bucket(flow, bucket))
        .arg(rate.tokens)
        .arg(rate.per.as_millis() as u64)
        .arg(cost.tokens)
        .arg(cost.least)
        .invoke_async(&mut *connection)
        .await
        .map_err(|source| server.error(source))?;
    Ok(Tokens {
        taken,
        left,
        next_after: Duration::from_millis(wait),
        full_after: Duration::from_millis(full),
    })
}
