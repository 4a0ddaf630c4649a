use super::*;

#[tokio::test]
async fn a_dropped_file_is_taken_announced_and_stored() {
    let host = Host::new().await;
    assert_eq!(host.digest(), None);
    assert!(
        host.status()
            .last_error
            .is_some_and(|e| e.contains("no such file"))
    );
    let mut changes = host.registry.changes();
    changes.mark_unchanged();
    host.drop_file(&floodgate_test_components::constant(0.25));
    tokio::time::timeout(Duration::from_secs(20), changes.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(host.digest(), Some(of(0.25)));
    assert_eq!(host.status().last_error, None);
    assert_eq!(host.status().file_digest, Some(of(0.25)));
    until("it is stored", || {
        host.shelf
            .components
            .lock()
            .unwrap()
            .contains_key(&of(0.25))
    })
    .await;
}

#[tokio::test]
async fn what_lies_there_at_the_start_is_in_force_when_the_start_returns() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("judge.wasm"),
        floodgate_test_components::constant(0.25),
    )
    .unwrap();
    let (registry, _running) = registry(dir.path(), &Arc::default()).await;
    assert_eq!(registry.current(NAME).unwrap().digest(), of(0.25));
}

#[tokio::test]
async fn a_batch_in_flight_finishes_on_the_oracle_it_began_with() {
    let host = Host::with(&[0.25]).await;
    let held = host.registry.current(NAME).unwrap();
    host.drop_file(&floodgate_test_components::constant(0.75));
    host.until_scored(0.75).await;
    assert_eq!(score(&held).await, 0.25);
    assert_eq!(score(&host.registry.current(NAME).unwrap()).await, 0.75);
    let back = Choice::RolledBack {
        to: of(0.25),
        rejected: of(0.75),
    };
    assert_eq!(host.status().rollback, Some(back));
}

#[tokio::test]
async fn whatever_does_not_load_keeps_the_old_one_in_force_and_is_shown() {
    let host = Host::with(&[0.25]).await;
    let good = floodgate_test_components::constant(0.75);
    for (bytes, said) in [
        (&good[..good.len() / 2], "cut short"),
        (b"not wasm at all", "not WebAssembly"),
        (
            &floodgate_test_components::of_another_version(),
            "expected floodgate:oracle/",
        ),
        (
            &floodgate_test_components::traps_at_start(),
            "does not start",
        ),
    ] {
        host.drop_file(bytes);
        host.until_error(said).await;
        assert_eq!(host.digest(), Some(of(0.25)));
        assert_eq!(host.status().file_digest, None);
    }
    host.drop_file(&good);
    host.until_scored(0.75).await;
    assert_eq!(host.status().last_error, None);
}

#[tokio::test]
async fn the_old_file_put_back_after_a_bad_one_ends_the_complaint() {
    let host = Host::with(&[0.25]).await;
    host.drop_file(b"not wasm at all");
    host.until_error("not WebAssembly").await;
    host.drop_file(&floodgate_test_components::constant(0.25));
    until("no complaint", || host.status().last_error.is_none()).await;
    assert_eq!(host.digest(), Some(of(0.25)));
}

#[tokio::test]
async fn a_file_beyond_64_mib_is_refused_by_its_size() {
    let host = Host::with(&[0.25]).await;
    let file = std::fs::File::create(host.dir.path().join("judge.wasm")).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    host.until_error("67108865 bytes").await;
    assert_eq!(host.digest(), Some(of(0.25)));
}

#[tokio::test]
async fn a_removed_file_leaves_its_oracle_in_force_and_the_status_says_so() {
    let host = Host::with(&[0.25]).await;
    std::fs::remove_file(host.dir.path().join("judge.wasm")).unwrap();
    host.until_error("gone from the directory").await;
    assert_eq!(host.digest(), Some(of(0.25)));
    assert_eq!(host.status().file_digest, None);
}

#[tokio::test]
async fn a_directory_that_was_replaced_is_still_looked_at() {
    let host = Host::with(&[0.25]).await;
    // Change notifications belong to the directory that was moved away.
    let away = tempfile::tempdir().unwrap();
    std::fs::rename(host.dir.path(), away.path().join("moved")).unwrap();
    std::fs::create_dir(host.dir.path()).unwrap();
    host.drop_file(&floodgate_test_components::constant(0.75));
    host.until_scored(0.75).await;
}

#[tokio::test]
async fn a_missing_directory_is_an_error_that_names_it() {
    let options = RegistryOptions {
        dir: "/nowhere/at/all".into(),
        poll: Duration::from_millis(100),
        engine: Arc::new(Engine::new(&EngineOptions::default()).unwrap()),
        ledger: Arc::new(Shelf::default()),
        flows: Vec::new(),
        host: "here".into(),
    };
    let error = match Registry::start(options, CancellationToken::new()).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("/nowhere/at/all"), "{error}");
}
