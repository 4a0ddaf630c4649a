//! Tracks the calls that the backbone refuses and will never take, so that
//! nobody repeats them in a loop and everybody sees them.
//!
//! A batch whose call is refused is dropped and nothing of it is acknowledged:
//! its entries come again when their leases have run out. Meanwhile its
//! partition rests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::insist::{Stopped, insist};
use super::partition::PartitionWorker;
use floodgate_backbone::Error;
use floodgate_flow::Partition;
use floodgate_process::metrics::table::PARTITION_STUCK;
use floodgate_report::StuckCall;

/// The calls that are refused, of all partitions that a worker works on.
#[derive(Default)]
pub struct StuckCalls(Mutex<BTreeMap<(String, u16), Calls>>);

type Calls = BTreeMap<&'static str, Refused>;

struct Refused {
    error: String,
    last: Instant,
}

impl StuckCalls {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, u16), Calls>> {
        // The map is whole after any single insert or remove.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns every call that is refused.
    pub fn all(&self) -> Vec<StuckCall> {
        let stuck = self.lock();
        let calls = stuck.iter().flat_map(|((flow, partition), calls)| {
            calls.iter().map(|(call, refused)| StuckCall {
                flow: flow.clone(),
                partition: *partition,
                call: (*call).to_owned(),
                error: refused.error.clone(),
            })
        });
        calls.collect()
    }

    /// Shows the partition as one that is not stuck.
    pub(super) fn begin(&self, partition: &Partition) {
        show(partition, false);
    }

    /// Notes what came of a call: it is refused until a call of its kind passes.
    pub(super) fn note<T>(
        &self,
        partition: &Partition,
        call: &'static str,
        answer: &Result<T, Error>,
    ) {
        let mut stuck = self.lock();
        let key = || (partition.flow.to_string(), partition.index);
        match answer {
            Ok(_) if stuck.is_empty() => {}
            Ok(_) => {
                let Some(calls) = stuck.get_mut(&key()) else {
                    return;
                };
                if calls.remove(call).is_some() {
                    info!(flow = %partition.flow, partition = partition.index, call, "passed again");
                }
                if calls.is_empty() {
                    stuck.remove(&key());
                    show(partition, false);
                }
            }
            Err(refusal) if !refusal.may_pass() => {
                let error = refusal.to_string();
                let last = Instant::now();
                let calls = stuck.entry(key()).or_default();
                if calls.insert(call, Refused { error, last }).is_none() {
                    error!(
                        flow = %partition.flow,
                        partition = partition.index,
                        call,
                        error = %refusal,
                        "partition is stuck until somebody mends what is refused"
                    );
                    show(partition, true);
                }
            }
            Err(_) => {}
        }
    }

    fn is_stuck(&self, partition: &Partition) -> bool {
        self.rest(partition, Duration::ZERO).is_some()
    }

    /// Returns how long the partition has to rest of `period`; `None` where it is
    /// not stuck.
    fn rest(&self, partition: &Partition, period: Duration) -> Option<Duration> {
        let stuck = self.lock();
        if stuck.is_empty() {
            return None;
        }
        let calls = stuck.get(&(partition.flow.to_string(), partition.index))?;
        let last = calls.values().map(|refused| refused.last).max()?;
        Some(period.saturating_sub(last.elapsed()))
    }
}

fn show(partition: &Partition, stuck: bool) {
    let labels = [partition.flow.as_str(), &partition.index.to_string()];
    PARTITION_STUCK.of(labels).set(f64::from(u8::from(stuck)));
}

impl PartitionWorker {
    /// Calls the backbone until it answers. What it refuses and never will take
    /// is returned, and the partition is stuck until a call of its kind passes.
    ///
    /// # Errors
    /// As [`insist`].
    pub async fn insist_on_backbone<T, F>(
        &self,
        what: &'static str,
        call: impl FnMut() -> F,
    ) -> Result<Result<T, Error>, Stopped>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let answer = insist(what, &self.stop, call).await?;
        self.note(what, &answer);
        Ok(answer)
    }

    pub fn note<T>(&self, what: &'static str, answer: &Result<T, Error>) {
        self.worker.stuck.note(&self.partition, what, answer);
    }

    pub fn is_stuck(&self) -> bool {
        self.worker.stuck.is_stuck(&self.partition)
    }

    /// Waits until a stuck partition may be tried again: once in the time of a
    /// lease, after which what was dropped comes again. Ends at once when the
    /// worker is to stop.
    pub async fn until_rested(&self) {
        let period = self.backbone().lease();
        while let Some(rest) = self.worker.stuck.rest(&self.partition, period)
            && !rest.is_zero()
            && !self.stop.is_cancelled()
        {
            self.pause(rest).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use floodgate_flow::FlowName;

    fn partition(index: u16) -> Partition {
        let flow = FlowName::new("orders");
        Partition { flow, index }
    }

    fn refused<T>() -> Result<T, Error> {
        Err(Error::Refused {
            backbone: "Redis".to_owned(),
            cause: "WRONGTYPE".into(),
        })
    }

    fn away<T>() -> Result<T, Error> {
        Err(Error::Unreachable {
            backbone: "Redis".to_owned(),
            cause: "READONLY".into(),
        })
    }

    #[test]
    fn a_partition_is_stuck_until_what_was_refused_passes() {
        let stuck = StuckCalls::default();
        let (one, other) = (partition(0), partition(1));
        stuck.note::<()>(&one, "settle", &away());
        assert!(!stuck.is_stuck(&one), "what is away comes back");
        stuck.note::<()>(&one, "settle", &refused());
        stuck.note(&one, "read", &Ok(()));
        assert!(stuck.is_stuck(&one) && !stuck.is_stuck(&other));
        let period = Duration::from_secs(3600);
        assert!(
            stuck.rest(&one, period) > Some(period / 2),
            "it is left alone"
        );
        let told = stuck.all();
        assert_eq!((told.len(), &*told[0].call), (1, "settle"));
        assert!(told[0].error.contains("WRONGTYPE"), "{told:?}");
        stuck.note(&one, "settle", &Ok(()));
        assert!(!stuck.is_stuck(&one));
        assert_eq!(stuck.all(), []);
    }
}
