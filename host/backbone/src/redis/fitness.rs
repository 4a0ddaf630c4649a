//! Whether a Redis can keep the promise, by its own account.

use std::collections::HashMap;

use super::connection::Server;
use super::keys::{Keys, LAYOUT};
use super::memory;
use crate::Error;
use floodgate_flow::{FlowName, Partition};

/// What weakens the promise.
pub(super) async fn check(
    server: &Server,
    flows: &[(FlowName, u16)],
) -> Result<Vec<String>, Error> {
    for (flow, partitions) in flows {
        check_partitions(server, flow, *partitions).await?;
        for index in 0..*partitions {
            let flow = flow.clone();
            check_layout(server, &Partition { flow, index }).await?;
        }
    }
    let mut weak = check_config(server).await?;
    match memory::look(server).await {
        Err(hidden @ Error::Refused { .. }) => weak.push(format!(
            "it hides its use of memory, so entries are refused only once it is full ({hidden})"
        )),
        looked => _ = looked?,
    }
    Ok(weak)
}

async fn check_config(server: &Server) -> Result<Vec<String>, Error> {
    let mut connection = server.connection().await?;
    let asked: Result<HashMap<String, String>, _> = redis::cmd("CONFIG")
        .arg("GET")
        .arg(&["appendonly", "appendfsync", "maxmemory-policy"])
        .query_async(&mut *connection)
        .await;
    let config = match asked.map_err(|source| server.error(source)) {
        // A managed Redis may rename or forbid CONFIG.
        Err(hidden @ Error::Refused { .. }) => {
            return Ok(vec![format!(
                "it hides its configuration, so whether a 202 survives a crash is unknown ({hidden})"
            )]);
        }
        asked => asked?,
    };
    let is = |name: &str, value: &str| config.get(name).is_some_and(|is| is == value);
    if let Some(policy) = config
        .get("maxmemory-policy")
        .filter(|is| *is != "noeviction")
    {
        return Err(server.unfit(format!(
            "evicts what it holds when its memory is full (maxmemory-policy {policy}), entries \
             among it: CONFIG SET maxmemory-policy noeviction, and in its configuration file"
        )));
    }
    let mut weak = Vec::new();
    if !is("appendonly", "yes") {
        weak.push("appendonly is not yes: a restart loses every entry that is not decided".into());
    } else if !is("appendfsync", "always") {
        weak.push(
            "appendfsync is not always: a crash loses entries that were answered with 202".into(),
        );
    }
    Ok(weak)
}

/// A newer version may have written what this one would misread.
async fn check_layout(server: &Server, partition: &Partition) -> Result<(), Error> {
    let key = Keys::of(partition).layout;
    let mut connection = server.connection().await?;
    let noted: Option<String> = redis::cmd("GET")
        .arg(&key)
        .query_async(&mut *connection)
        .await
        .map_err(|source| server.error(source))?;
    let Some(noted) = noted else {
        return Ok(());
    };
    let oldest_reader = noted.split_once(' ').map(|(_, oldest)| oldest.parse());
    if matches!(oldest_reader, Some(Ok(oldest)) if (1..=LAYOUT).contains(&oldest)) {
        return Ok(());
    }
    Err(server.unfit(format!(
        "holds flow {} in a layout of a newer Floodgate ({key} is {noted:?}, this one reads \
         {LAYOUT}): start that one",
        partition.flow
    )))
}

/// An entry's partition is the hash of its id modulo their number: with
/// another number an id would be looked for where it never was.
async fn check_partitions(server: &Server, flow: &FlowName, partitions: u16) -> Result<(), Error> {
    let key = format!("floodgate:{{{flow}}}:partitions");
    let mut connection = server.connection().await?;
    let (_set, recorded): (redis::Value, u16) = redis::pipe()
        .cmd("SET")
        .arg(&key)
        .arg(partitions)
        .arg("NX")
        .get(&key)
        .query_async(&mut *connection)
        .await
        .map_err(|source| server.error(source))?;
    if recorded == partitions {
        return Ok(());
    }
    Err(server.unfit(format!(
        "has flow {flow} in {recorded} partitions, and its flow file says {partitions}: write \
         stream.partitions = {recorded}; or to change it, stop every front end, wait until \
         nothing of the flow is open (floodgate pending {flow}), and DEL {key}"
    )))
}
