//! `floodgate oracle verify`: makes a stored decision again. The host only
//! hands out what is stored: it is judged here, by what the decision names.
//! That the decision is the one that was made is the ledger's word.

mod compared;
mod then;

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;

use self::compared::Verified;
use self::then::Then;
use super::OneEntry;
use super::client::Client;
use floodgate_admin::types::WholeDecision;
use floodgate_flow::Digest;

/// # Errors
/// Where something that it takes is not kept, or the decision is another one now.
pub(super) async fn run(entry: OneEntry) -> anyhow::Result<()> {
    let client = entry.call.client();
    let decision: WholeDecision = client.get(&entry.path("decisions"), &[]).await?;
    let then = Then::of(decision)?;
    let components = components(&client, &then).await?;
    let verify = move || then.verify(&components);
    let verified: Verified = tokio::task::spawn_blocking(verify).await??;
    entry.call.json.say(&verified, || verified.in_words())?;
    if !verified.same {
        let differences = verified.differences().join("\n  ");
        let OneEntry { flow, id, .. } = entry;
        bail!("{flow} {id} was decided otherwise than it is now:\n  {differences}");
    }
    Ok(())
}

async fn components(client: &Client, then: &Then) -> anyhow::Result<BTreeMap<Digest, Bytes>> {
    let mut components = BTreeMap::new();
    for judged in then.judged() {
        let (name, digest) = (&judged.name, judged.digest);
        if components.contains_key(&digest) {
            continue;
        }
        let bytes = client.bytes(&format!("/components/{digest}")).await;
        let bytes = bytes.with_context(|| format!("oracle {name}"))?;
        ensure!(
            Digest::of(&bytes) == digest,
            "oracle {name}: what is kept as {digest} is another component"
        );
        components.insert(digest, bytes);
    }
    Ok(components)
}
