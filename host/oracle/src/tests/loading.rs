//! Loading components, and the cache of their code.

use std::fs::File;
use std::time::SystemTime;

use super::*;

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
