//! Every metric that there is. `docs/METRICS.md` is made of it.

use metrics::{Counter, Gauge, Histogram, Unit};

use super::{Metric, Named};

macro_rules! table {
    ($($handle:ident $metric:ident $name:literal [$($label:literal),*] $unit:ident $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $metric: Named<$handle, { <[&str]>::len(&[$($label),*]) }> =
                Named::new($name, &[$($label),*], Unit::$unit, $help);
        )*

        pub static TABLE: &[&Metric] = &[$(&$metric.metric),*];
    };
}

table! {
    Counter ENTRIES_ACCEPTED "floodgate_entries_accepted_total" ["flow"] Count
        "Entries appended, durable and new.";
    Counter ENTRIES_REPLAYED "floodgate_entries_replayed_total" ["flow"] Count
        "Entries sent again with the same body: answered as the first time, nothing was added.";
    Counter REQUESTS_REFUSED "floodgate_requests_refused_total" ["flow", "reason"] Count
        "POSTs answered with a problem, by the code of its type, such as `backlog-full`, and pages of a flow with keys that were asked for without one or too often. A reason appears with its first refusal.";
    Histogram REQUEST_DURATION "floodgate_request_duration_seconds" ["flow"] Seconds
        "From the head of a POST to its answer, accepted or refused; the body's way over the network is in it.";
    Gauge CONNECTIONS "floodgate_connections" ["address"] Count
        "Connections that are open, to the `front-end` and to `admin`.";
    Counter CONNECTIONS_CLOSED "floodgate_connections_closed_total" ["address", "reason"] Count
        "Connections that were closed to keep a limit: `too-many` had one peer, `idle` did nothing while others waited for a place, `not-taken` took nothing of its answer, `large-heads` sent more of a head than there was room for.";
    Counter ADMIN_CALLS_REFUSED "floodgate_admin_calls_refused_total" ["reason"] Count
        "Calls of the admin address that were not let in: `foreign-host`, `no-token`, `wrong-token`, `foreign-origin`, `not-json`, `not-a-name`. The log has one of them a minute. A reason appears with its first refusal.";
    Gauge IN_FLIGHT "floodgate_in_flight_bytes" [] Bytes
        "Bytes of requests that this front end holds, from their arrival to their append.";
    Gauge IN_FLIGHT_LIMIT "floodgate_in_flight_limit_bytes" [] Bytes
        "How many it holds at most (`--max-in-flight`); at the limit the slowest bodies are refused with `overloaded`.";
    Counter QUERIES "floodgate_queries_total" ["flow", "path", "outcome"] Count
        "Requests to a path of a `[[query]]`: `answered`, or the code of the problem's type, such as `archive-away`. An outcome appears when it first happens.";
    Histogram QUERY_DURATION "floodgate_query_duration_seconds" ["flow", "path"] Seconds
        "From the head of such a request to its answer, whatever that is.";
    Counter ARCHIVE_PASSES "floodgate_archive_passes_total" ["outcome"] Count
        "Times that this worker asked floodgate-archive to move what is due: `whole`, `problems` where not all of it could be moved, `failed` where there was no answer or nothing could be begun, `busy` where somebody else was at it. Only workers have it.";
    Histogram APPEND_GROUP_ENTRIES "floodgate_append_group_entries" ["flow"] Count
        "Entries of one append to the backbone: one group, one commit.";
    Histogram APPEND_DURATION "floodgate_append_duration_seconds" ["flow"] Seconds
        "One append to the backbone, whatever came of it.";
    Histogram READ_BATCH_ENTRIES "floodgate_read_batch_entries" ["flow"] Count
        "Entries of a batch that a worker read or took over.";
    Counter ENTRIES_JUDGED "floodgate_entries_judged_total" ["flow", "oracle", "digest"] Count
        "Entries that the oracle gave a verdict of. The digest's first 12 digits.";
    Histogram JUDGE_DURATION "floodgate_judge_duration_seconds" ["flow", "oracle", "digest"] Seconds
        "One call of the oracle with a batch, or with a part of one that failed; making its instance is in it.";
    Counter ORACLE_FAULTS "floodgate_oracle_faults_total" ["flow", "oracle", "digest", "fault"] Count
        "Entries on which the oracle trapped, ran out of time or memory, or lost count, whether it or the entry was to blame.";
    Counter ORACLE_RECHECKS "floodgate_oracle_rechecks_total" ["flow", "oracle", "digest"] Count
        "Entries that were judged again, alone, to see whether the verdict is the same: one of 10,000, where not each is judged alone anyway.";
    Counter ORACLE_DIFFERENCES "floodgate_oracle_differences_total" ["flow", "oracle", "digest"] Count
        "Of those, the ones whose verdict was another one: what the oracle says of an entry depends on the batch that it is in. The first verdict counts.";
    Counter ORACLE_REFUSALS "floodgate_oracle_refusals_total" ["flow", "oracle", "digest", "fault"] Count
        "Entries that the oracle refused to judge, or answered with what is no verdict: it is about that entry, and uses up an attempt of it.";
    Counter ORACLE_TRIALS "floodgate_oracle_trials_total" ["flow", "oracle", "finding"] Count
        "Trials of an oracle by control entries: `convicted`, `cleared`, `unclear` where it fails some of them, `unheard` where the ledger does not tell those of the last day, or `unknown` where there are none. A finding appears when it is first made. Only workers have it.";
    Gauge FLOW_FILES_REFUSED "floodgate_flow_files_refused" [] Count
        "1 while the flow files in the directory are not those in force, because something is wrong with them.";
    Gauge FLOW_HELD "floodgate_flow_held" ["flow", "oracle"] Count
        "1 while the flow reads nothing and admits nothing, because the oracle fails its controls and no earlier version judges them. Only workers have it.";
    Counter ENTRY_FAULTS "floodgate_entry_faults_total" ["flow", "fault"] Count
        "Faults recorded of entries: each used up an attempt.";
    Counter DECISIONS "floodgate_decisions_total" ["flow", "label"] Count
        "Entries decided and settled, kept or not: `high`, `low`, or `none` in a flow without oracles.";
    Histogram DECIDED_AFTER "floodgate_decided_after_seconds" ["flow"] Seconds
        "From received to settled with a decision: received by the backbone's clock, settled by the worker's.";
    Histogram LEDGER_DURATION "floodgate_ledger_duration_seconds" ["call"] Seconds
        "One call of the ledger, whatever came of it. A call appears when it is first made.";
    Counter LEDGER_FAULTS "floodgate_ledger_faults_total" ["call"] Count
        "Calls of the ledger that failed.";
    Counter DELIVERIES "floodgate_deliveries_total" ["flow", "downstream"] Count
        "Decisions delivered.";
    Histogram DELIVERY_DURATION "floodgate_delivery_duration_seconds" ["flow", "downstream"] Seconds
        "One attempt to deliver: asking, and posting where that was needed.";
    Counter DELIVERY_FAULTS "floodgate_delivery_faults_total" ["flow", "downstream", "fault"] Count
        "Attempts to deliver that failed: `not-connected` and `not-asked` (the question was not answered) use up nothing, `refused` was answered, of `unknown` nobody knows.";
    Gauge BREAKER_OPEN "floodgate_breaker_open" ["downstream"] Count
        "1 while it is left alone because it does not answer. Flows that call their downstreams the same add up.";
    Gauge LEDGER_BREAKER_OPEN "floodgate_ledger_breaker_open" [] Count
        "1 while the ledger does not answer: nothing is read until it does. Only workers have it.";
    Counter DEAD_LETTERS_BURIED "floodgate_dead_letters_buried_total" ["flow", "fault"] Count
        "Entries that became dead letters, by their last fault; decisions given up on the way to a downstream are those of `delivery`.";
    Counter ORACLE_SWAPS "floodgate_oracle_swaps_total" ["oracle"] Count
        "Times that another digest came into force, by a file, a choice or going back; the first one of a process is none.";
    Counter ORACLE_SWAPS_REFUSED "floodgate_oracle_swaps_refused_total" ["oracle"] Count
        "Components that were not taken: a file that does not load, a chosen digest that cannot be had. What was in force stays.";
    Gauge PARTITION_STUCK "floodgate_partition_stuck" ["flow", "partition"] Count
        "1 while the backbone refuses this worker a call that it never will take, such as WRONGTYPE: nothing is acknowledged, and it is tried every 30 seconds. A person has to look.";
    Counter ORACLE_LOADS "floodgate_oracle_loads_total" ["oracle", "outcome"] Count
        "Components that were loaded: `cached`, `compiled`, or not: `refused` where it does not fit or start, `memory` and `time` where compiling it took more than `--compile-memory` or `--compile-time`, `failed` where its compiler ended otherwise, `failed-before` where that is remembered and it was not tried again. An outcome appears when it first happens.";
    Counter ENTRIES_LOST "floodgate_entries_lost_total" ["flow"] Count
        "Open entries that are gone from the backbone: somebody else trimmed or emptied it. A person has to look.";
    Gauge ENTRIES_OPEN "floodgate_entries_open" ["flow"] Count
        "Entries appended and neither settled nor dead.";
    Gauge ENTRIES_WAITING "floodgate_entries_waiting" ["flow"] Count
        "Of those, the ones that no worker has read yet.";
    Gauge ENTRIES_PENDING "floodgate_entries_pending" ["flow"] Count
        "Of those, the ones that were delivered and are not settled.";
    Gauge ENTRIES_RETRYING "floodgate_entries_retrying" ["flow"] Count
        "Of the pending ones, those that wait for their next attempt.";
    Gauge PENDING_BY_DELIVERIES "floodgate_pending_by_deliveries" ["flow", "deliveries"] Count
        "Pending entries by how often they were delivered, `1` to `4` and `5+`; of each partition the 1000 oldest are looked at.";
    Gauge OLDEST_WAITING_AGE "floodgate_oldest_waiting_age_seconds" ["flow"] Seconds
        "Since the oldest entry that nobody has read was received; 0 where there is none.";
    Gauge OLDEST_PENDING_AGE "floodgate_oldest_pending_age_seconds" ["flow"] Seconds
        "Since the oldest pending entry was received; 0 where there is none.";
    Gauge DEAD_LETTERS "floodgate_dead_letters" ["flow"] Count
        "Entries that are dead now: buried and not requeued.";
    Gauge REMEMBERED "floodgate_remembered_bytes" ["flow"] Bytes
        "About what ids of settled entries, and keys of `Idempotency-Key`, take up in Redis.";
    Gauge REMEMBERED_LIMIT "floodgate_remembered_limit_bytes" ["flow"] Bytes
        "What they may take up: beyond it new entries get 503, or with `remember_full = \"shorter\"` ids are remembered for less. 0: there is no limit.";
    Gauge BACKBONE_MEMORY_USED "floodgate_backbone_memory_used_bytes" [] Bytes
        "Redis' `used_memory`; of the embedded backbone the size of its file. Absent where Redis hides it.";
    Gauge BACKBONE_MEMORY_LIMIT "floodgate_backbone_memory_limit_bytes" [] Bytes
        "Redis' `maxmemory`: at 80 % of it entries are refused. 0: there is no limit.";
    Gauge PART_UP "floodgate_part_up" ["part"] Count
        "1 where it answers: `redis`, `postgres`, and `archive` where one is configured. In `floodgate dev` the first two are the database file.";
    Gauge BACKLOG_KNOWN "floodgate_backlog_known" ["flow"] Count
        "1 where the backbone tells what is open of the flow; 0: its gauges are missing.";
    Counter FILES_READ "floodgate_files_read_total" ["kind", "outcome"] Count
        "Times that changed files were read again, `flows` or `keys`: they were `taken`, or `refused` with what is wrong in the log, and then all stays as it is.";
    Counter TASK_PANICS "floodgate_task_panics_total" ["task"] Count
        "Panics of the process' long-lived tasks, by task: a fault of Floodgate itself. The task was started again, or the process ended; without `traces` it goes on. `lane` counts the batches that panicked, `delivery` the attempts to deliver.";
    Gauge BUILD_INFO "floodgate_build_info" ["version"] Count
        "Always 1.";
}
