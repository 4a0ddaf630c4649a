use std::sync::LazyLock;

use redis::Script;

use super::connection::Server;
use super::script::script;
use super::{GROUP, Keys};
use crate::Error;
use floodgate_flow::StreamId;

static ERASE: LazyLock<Script> = LazyLock::new(|| script!("erase"));

pub(super) async fn erase(
    server: &Server,
    keys: &Keys,
    id: &str,
    entries: &[StreamId],
) -> Result<Option<u64>, Error> {
    let mut call = ERASE.prepare_invoke();
    call.key(&keys.stream).key(keys.id(id)).arg(GROUP);
    for entry in entries {
        call.arg(entry.to_string());
    }
    let erased: i64 = server.run(&call, keys).await?;
    Ok(u64::try_from(erased).ok())
}
