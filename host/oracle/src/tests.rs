mod loading;

use std::sync::Arc;
use std::time::Duration;

use super::engine::{CORE_INSTANCES, MEMORIES, TABLES};
use super::*;
use floodgate_flow::{Entry, FaultKind, OracleLimits, OracleSettings, Verdict};

const LIMITS: OracleLimits = OracleLimits {
    memory: 64 << 20,
    timeout: Duration::from_millis(100),
};

fn engine() -> Engine {
    Engine::new(&EngineOptions::default()).unwrap()
}

fn entry(id: &str) -> Entry {
    Entry {
        id: id.into(),
        body: "{}".into(),
        received_at: 1,
        attributes: [("a".to_owned(), "b".to_owned())].into(),
    }
}

fn judge_with(
    oracle: &Oracle,
    ids: &[&str],
    settings: OracleSettings,
) -> Result<Vec<Result<Verdict, Refusal>>, BatchFault> {
    let entries: Vec<Entry> = ids.iter().map(|id| entry(id)).collect();
    let batch: Vec<&Entry> = entries.iter().collect();
    oracle.judge(&batch, &Arc::new(settings), LIMITS)
}

fn judge(oracle: &Oracle, ids: &[&str]) -> Result<Vec<Result<Verdict, Refusal>>, BatchFault> {
    judge_with(oracle, ids, OracleSettings::default())
}

fn misbehaving() -> Oracle {
    Oracle::load(&engine(), &floodgate_test_components::misbehaving()).unwrap()
}

fn batch_fault(id: &str) -> BatchFault {
    let oracle = misbehaving();
    let fault = judge(&oracle, &["a", id, "z"]).unwrap_err();
    let scores = judge(&oracle, &["a", "z"]).unwrap();
    assert!(
        scores.len() == 2 && scores.iter().all(Result::is_ok),
        "the next batch is judged as if nothing had happened"
    );
    fault
}

fn refusal(id: &str) -> Refusal {
    let answers = judge(&misbehaving(), &["a", id, "z"]).unwrap();
    assert_eq!(answers.len(), 3);
    assert!(
        answers[0].is_ok() && answers[2].is_ok(),
        "only that entry suffers"
    );
    answers[1].clone().unwrap_err()
}

fn scores(oracle: &Oracle, ids: &[&str]) -> Vec<f64> {
    let answers = judge(oracle, ids).unwrap();
    answers
        .into_iter()
        .map(|answer| answer.unwrap().score)
        .collect()
}

#[test]
fn a_trap_says_what_and_where() {
    let fault = batch_fault("t");
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.error.contains("unreachable"), "{}", fault.error);
    assert!(fault.error.contains("wasm backtrace"), "{}", fault.error);
}

#[test]
fn an_endless_loop_ends_at_the_deadline() {
    assert_eq!(batch_fault("l").kind, FaultKind::Timeout);
}

#[test]
fn a_memory_bomb_is_told_from_a_trap_and_names_the_limit() {
    let fault = batch_fault("m");
    assert_eq!(fault.kind, FaultKind::Memory);
    assert!(fault.error.contains("67108864"), "{}", fault.error);
}

#[test]
fn a_table_bomb_is_a_fault_of_memory() {
    let fault = batch_fault("big table");
    assert_eq!(fault.kind, FaultKind::Memory);
    assert!(fault.error.contains("1000001 elements"), "{}", fault.error);
}

#[test]
fn deep_recursion_is_a_trap_of_the_guest_and_not_of_the_host() {
    let fault = batch_fault("r");
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.error.contains("stack"), "{}", fault.error);
}

#[test]
fn too_few_results_are_a_fault_of_the_batch() {
    let fault = batch_fault("f");
    // The guest forgets one for each entry after the flag was raised.
    assert_eq!(fault.kind, FaultKind::WrongCount);
    assert_eq!(fault.error, "2 results for 3 entries");
}

#[test]
fn an_answer_of_many_megabytes_is_a_fault_and_costs_the_host_nothing() {
    let fault = batch_fault("x");
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.error.contains("too much data"), "{}", fault.error);
}

#[test]
fn a_score_that_is_no_number_is_a_fault_of_its_entry() {
    let refusal = refusal("n");
    assert_eq!(refusal.kind, FaultKind::BadScore);
    assert!(refusal.error.contains("NaN"), "{}", refusal.error);
}

#[test]
fn a_score_of_seven_is_a_fault_of_its_entry() {
    assert_eq!(refusal("7").kind, FaultKind::BadScore);
}

#[test]
fn an_error_for_one_entry_is_a_fault_of_that_entry() {
    let refusal = refusal("e");
    assert_eq!(refusal.kind, FaultKind::Refused);
    assert_eq!(refusal.error, "hello");
}

#[test]
fn an_output_beyond_64_kib_is_refused_and_not_cut() {
    let refusal = refusal("o");
    assert_eq!(refusal.kind, FaultKind::Refused);
    assert!(refusal.error.contains("65537"), "{}", refusal.error);
}

#[test]
fn state_in_globals_does_not_survive_a_batch() {
    let oracle = misbehaving();
    assert_eq!(scores(&oracle, &["c", "c"]), [0.125, 0.25]);
    assert_eq!(scores(&oracle, &["c", "c"]), [0.125, 0.25]);
}

#[test]
fn the_guest_reads_the_settings_of_its_flow() {
    let oracle = misbehaving();
    let mut settings = OracleSettings::default();
    assert_eq!(scores(&oracle, &["s"]), [0.5]);
    settings.values.insert("score".to_owned(), "9".to_owned());
    let answers = judge_with(&oracle, &["s"], settings).unwrap();
    assert_eq!(answers[0].as_ref().unwrap().score, 0.9);
}

#[test]
fn a_body_that_is_not_text_is_a_fault_of_its_entry_and_shifts_nobody() {
    let mut entries = [entry("c"), entry("c"), entry("c")];
    entries[1].body = vec![0xff].into();
    let batch: Vec<&Entry> = entries.iter().collect();
    let answers = misbehaving()
        .judge(&batch, &Arc::default(), LIMITS)
        .unwrap();
    assert_eq!(answers[0].as_ref().unwrap().score, 0.125);
    assert_eq!(answers[1].as_ref().unwrap_err().kind, FaultKind::Malformed);
    assert_eq!(answers[2].as_ref().unwrap().score, 0.25);
    assert_eq!(answers.len(), 3);
}

#[test]
fn an_empty_batch_is_judged_without_asking() {
    assert_eq!(judge(&misbehaving(), &[]).unwrap(), []);
}

/// Lines of events, as a subscriber sees them.
#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_flood_of_log_lines_is_dropped_and_counted() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let oracle = misbehaving().named("chatty");
    tracing::subscriber::with_default(subscriber, || judge(&oracle, &["w"]).unwrap());
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("hello from wasm!").count(), 16, "{text}");
    assert!(text.contains("dropped=984"), "{text}");
    assert!(text.contains("name=\"chatty\""), "{text}");
}

#[test]
fn more_batches_at_once_than_the_pool_has_room_for_wait_and_do_not_fail() {
    let oracle = misbehaving();
    std::thread::scope(|scope| {
        // Endless loops hold their instances until the deadline.
        let judges: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| judge(&oracle, &["l"]).unwrap_err()))
            .collect();
        for judge in judges {
            assert_eq!(judge.join().unwrap().kind, FaultKind::Timeout);
        }
    });
}

#[test]
fn a_guest_that_sleeps_for_an_hour_blocks_nobody_and_sees_neither_time_nor_chance() {
    let oracle =
        Oracle::load(&engine(), &floodgate_test_components::waiting_for_an_hour()).unwrap();
    assert_eq!(scores(&oracle, &["a", "b"]), [0.0, 0.0]);
}
