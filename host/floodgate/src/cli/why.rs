use std::time::Duration;

use super::OneEntry;
use super::table::{or_dash, short};
use floodgate_admin::types::{Delivery, PendingEntry, Why};

pub(super) async fn run(entry: OneEntry) -> anyhow::Result<()> {
    let why: Why = entry.call.client().get(&entry.path("why"), &[]).await?;
    entry.call.json.say(&why, || tell(&why))
}

fn tell(why: &Why) -> String {
    match why {
        Why::NeverSeen { remember } => format!(
            "never seen: no entry of this id is known; what a flow does not keep is forgotten {remember} after it was decided"
        ),
        Why::Waiting {
            since,
            ahead,
            missing_oracle,
            held,
        } => {
            let missing = missing_oracle.as_ref();
            let missing =
                missing.map(|name| format!("; no worker runs its oracle {name}, drop it"));
            format!(
                "waiting since {}: no worker has read it yet, {ahead} are before it{}{}",
                or_dash(since.as_ref()),
                missing.unwrap_or_default(),
                self::held(held.as_deref())
            )
        }
        Why::Pending(entry) => pending(entry),
        Why::Decided {
            label,
            score,
            reasons,
            oracles,
            deliveries,
            decided_at,
            request_id,
            cold_file,
            erased_at,
        } => {
            let moved = cold_file.map(|file| format!("\nin the cold tier, file {file}"));
            let deliveries: String = deliveries.iter().map(delivery).collect();
            let by: Vec<String> = (oracles.iter())
                .map(|by| format!("{} {:.12} ({})", by.name, by.digest, by.score))
                .collect();
            format!(
                "decided at {}: {}, score {}\nreasons: {}\nby: {}{deliveries}\nrequest: {}{}{}",
                or_dash(decided_at.as_ref()),
                or_dash(label.as_ref()),
                or_dash(score.as_ref()),
                or_dash((!reasons.is_empty()).then(|| reasons.join(", "))),
                or_dash((!by.is_empty()).then(|| by.join(", "))),
                or_dash(request_id.as_ref()),
                moved.unwrap_or_default(),
                erased_at
                    .map(|at| format!("\nerased at {at}: its body, its output and its attributes"))
                    .unwrap_or_default(),
            )
        }
        Why::NotKept { received_at } => format!(
            "decided and not kept: received at {}, and not among what the flow keeps",
            or_dash(received_at.as_ref())
        ),
        Why::Dead {
            fault,
            error,
            attempts,
            last_at,
            request_id,
            erased,
        } => {
            let now = match erased {
                true => "its body was erased, it cannot be requeued",
                false => "floodgate dead requeue --id has it judged again",
            };
            format!(
                "dead since {} after {attempts} attempts, of {fault}: {error}\nrequest: {}\n{now}",
                or_dash(last_at.as_ref()),
                or_dash(request_id.as_ref())
            )
        }
    }
}

fn delivery(delivery: &Delivery) -> String {
    let Delivery {
        downstream,
        state,
        attempts,
        error,
    } = delivery;
    let failed = error
        .as_ref()
        .map(|error| format!(", {attempts} attempts used up: {error}"));
    format!("\n{downstream}: {state}{}", failed.unwrap_or_default())
}

fn pending(entry: &PendingEntry) -> String {
    let idle = humantime::format_duration(Duration::from_secs(entry.idle_ms / 1000));
    let held = match &entry.next_attempt {
        Some(next) => format!("pending: its next attempt is at {next}"),
        None => format!("pending: {} holds it since {idle}", entry.owner),
    };
    let failed = match (&entry.fault, &entry.last_error) {
        (Some(fault), Some(error)) => {
            format!(
                "; {} attempts failed, the last of {fault}: {error}",
                entry.attempts
            )
        }
        _ => String::new(),
    };
    format!(
        "{held}; delivered {} times{failed}{}",
        entry.deliveries,
        self::held(entry.held.as_deref())
    )
}

fn held(why: Option<&str>) -> String {
    let held = why.map(|why| format!("; its flow is held: {}", short(why, 200)));
    held.unwrap_or_default()
}
