use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

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

fn load_error(bytes: &[u8]) -> LoadError {
    match Oracle::load(&engine(), bytes) {
        Ok(_) => panic!("it was taken"),
        Err(error) => error,
    }
}

#[test]
fn what_is_no_component_is_refused_with_what_it_is() {
    assert!(matches!(load_error(b"#!/bin/sh"), LoadError::NotWasm));
    assert!(matches!(load_error(b""), LoadError::NotWasm));
    assert!(matches!(
        load_error(&floodgate_test_components::core_module()),
        LoadError::CoreModule
    ));
}

#[test]
fn half_a_file_is_refused_wherever_it_ends() {
    let whole = floodgate_test_components::constant(0.5);
    for part in 1..8 {
        let error = load_error(&whole[..whole.len() * part / 8]);
        assert!(
            matches!(error, LoadError::Invalid(_) | LoadError::DoesNotFit(_)),
            "{part} of 8: {error}"
        );
    }
}

#[test]
fn a_component_of_another_version_hears_which_one_is_expected() {
    let error = load_error(&floodgate_test_components::of_another_version()).to_string();
    assert!(
        error.contains(
            "expected floodgate:oracle/settings@0.1.0, found floodgate:oracle/settings@0.2.0"
        ),
        "{error}"
    );
    assert!(error.contains("rebuild"), "{error}");
}

#[test]
fn a_wrong_signature_is_shown_beside_the_right_one() {
    let error = load_error(&floodgate_test_components::of_another_shape()).to_string();
    assert!(
        error.contains("expected func(key: string) -> option<string>, found func(key: u32) -> u32"),
        "{error}"
    );
    assert!(
        error.contains("export judge: expected func(batch:"),
        "{error}"
    );
}

#[test]
fn a_wish_for_sockets_is_refused_by_name() {
    let error = load_error(&floodgate_test_components::with_sockets()).to_string();
    assert!(
        error.contains("wasi:sockets/tcp-create-socket@0.2.3"),
        "{error}"
    );
    assert!(error.contains("no network"), "{error}");
}

#[test]
fn what_has_more_parts_than_an_instance_may_hears_of_what_and_of_how_many() {
    let with = |part: &str, count: u32, of: &str| {
        let parts = part.repeat(count as usize);
        let text = format!("(component (core module $m {of}) {parts})");
        load_error(&wat::parse_str(text).unwrap())
    };
    let instance = "(core instance (instantiate $m))";
    for (most, of, named) in [
        (CORE_INSTANCES, "", "core module instances"),
        (MEMORIES, "(memory 1)", "memories"),
        (TABLES, "(table 1 funcref)", "tables"),
    ] {
        let error = with(instance, most + 1, of);
        assert!(matches!(error, LoadError::TooManyParts(_)), "{error}");
        let said = error.to_string();
        let limit = format!("maximum of {most}");
        assert!(said.contains(named) && said.contains(&limit), "{said}");
        // One part fewer, and it is only no oracle.
        let error = with(instance, most, of);
        assert!(matches!(error, LoadError::DoesNotFit(_)), "{error}");
    }
}

#[test]
fn a_component_that_traps_at_its_start_is_not_taken() {
    let error = load_error(&floodgate_test_components::traps_at_start());
    assert!(matches!(error, LoadError::DoesNotStart(_)), "{error}");
    assert!(error.to_string().contains("unreachable"), "{error}");
}

#[test]
fn the_second_load_comes_from_the_cache_and_judges_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let engine = cached(dir.path());
    let bytes = floodgate_test_components::constant(0.25);
    assert!(!Oracle::load(&engine, &bytes).unwrap().from_cache());
    let again = Oracle::load(&cached(dir.path()), &bytes).unwrap();
    assert!(again.from_cache());
    assert_eq!(scores(&again, &["a"]), [0.25]);
}

#[test]
fn a_damaged_cache_file_is_compiled_again_and_healed() {
    let dir = tempfile::tempdir().unwrap();
    let engine = cached(dir.path());
    let bytes = floodgate_test_components::constant(0.25);
    Oracle::load(&engine, &bytes).unwrap();
    let files = std::fs::read_dir(dir.path()).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    let file = files.find(|file| file.extension().is_some_and(|end| end == "cwasm"));
    let file = file.unwrap();
    let mut code = std::fs::read(&file).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    std::fs::write(&file, &code).unwrap();
    let healed = Oracle::load(&engine, &bytes).unwrap();
    assert!(!healed.from_cache());
    assert_eq!(scores(&healed, &["a"]), [0.25]);
    std::fs::write(&file, b"short").unwrap();
    assert!(!Oracle::load(&engine, &bytes).unwrap().from_cache());
    assert!(Oracle::load(&engine, &bytes).unwrap().from_cache());
}

#[test]
fn a_cache_that_others_could_write_to_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let engine = cached(dir.path());
    Oracle::load(&engine, &floodgate_test_components::constant(0.25)).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn the_code_of_an_oracle_stays_while_that_lives_and_what_is_old_goes() {
    let dir = tempfile::tempdir().unwrap();
    let month = Duration::from_secs(31 * 24 * 3600);
    let of_once = SystemTime::now() - month;
    let old = dir.path().join(format!("{:064}-{:016}.cwasm", 1, 2));
    let aged = |path: &std::path::Path| File::open(path).unwrap().set_modified(of_once).unwrap();
    let code = || {
        let files = std::fs::read_dir(dir.path()).unwrap();
        let mut files = files.map(|file| file.unwrap().path());
        files.find(|path| *path != old && path.extension().is_some())
    };
    let (engine, bytes) = (
        cached(dir.path()),
        floodgate_test_components::constant(0.25),
    );
    for from_cache in [false, true] {
        File::create(&old).unwrap();
        aged(&old);
        let oracle = Oracle::load(&engine, &bytes).unwrap();
        assert_eq!(oracle.from_cache(), from_cache);
        // As if it had been in force for a month, and another process starts.
        aged(&code().unwrap());
        cached(dir.path());
        assert!(code().is_some() && !old.exists());
        drop(oracle);
    }
    aged(&code().unwrap());
    cached(dir.path());
    assert_eq!(code(), None);
}

fn cached(dir: &std::path::Path) -> Engine {
    Engine::new(&EngineOptions {
        cache: Some(dir.to_owned()),
        ..EngineOptions::default()
    })
    .unwrap()
}
