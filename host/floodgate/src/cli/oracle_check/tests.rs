use super::*;
use crate::cli::oracle_sample::LIMITS;

fn report(bytes: &[u8], sample: &str) -> (bool, String) {
    let entries = sample::parse(sample).unwrap();
    let checked = check(bytes, &entries, &Arc::default(), LIMITS).unwrap();
    (checked.fits, words::of(&checked))
}

#[test]
fn a_component_that_fits_is_described_and_judges_the_sample() {
    let sample = "{\"tx_hash\": \"abc\"}\n\n{\"id\": 7}\n{}\n{\"id\": \"trap\"}\n";
    let (fits, text) = report(&floodgate_test_components::misbehaving(), sample);
    assert!(fits);
    assert!(text.contains("floodgate:oracle/settings@0.1.0"), "{text}");
    assert!(text.contains("\n abc   0.5000"), "{text}");
    assert!(
        text.contains("score 7"),
        "the id is that of the body: {text}"
    );
    assert!(
        text.contains("\n 4 "),
        "without an id it is the line: {text}"
    );
    assert_eq!(
        text.matches("unreachable").count(),
        1,
        "a trap is its entry's alone: {text}"
    );
}

#[test]
fn of_a_component_that_does_not_fit_each_part_is_told_with_what_is_wrong() {
    let (fits, text) = report(&floodgate_test_components::with_sockets(), "");
    assert!(!fits);
    assert!(
        text.contains("found     wasi:sockets/tcp-create-socket@0.2.3"),
        "{text}"
    );
}

fn checked(bytes: &[u8], sample: &str, limits: OracleLimits) -> Loaded {
    let entries = sample::parse(sample).unwrap();
    let checked = check(bytes, &entries, &Arc::default(), limits).unwrap();
    checked.loaded.unwrap()
}

#[test]
fn what_it_takes_to_refuse_an_entry_is_not_told_as_the_cost_of_judging() {
    let sample = "{\"id\": \"error\"}\n{\"id\": \"trap\"}\n";
    let loaded = checked(&floodgate_test_components::misbehaving(), sample, LIMITS);
    assert_eq!(loaded.judged, 0);
    assert!(!loaded.cost.is_empty());
    assert!(loaded.cost.iter().all(|cost| cost.per_batch_us.is_none()));
    let sample = format!("{sample}{{\"id\": \"a\"}}\n");
    let loaded = checked(&floodgate_test_components::misbehaving(), &sample, LIMITS);
    assert_eq!(loaded.judged, 1);
    assert!(!loaded.cost.is_empty());
    assert!(loaded.cost.iter().all(|cost| cost.per_batch_us.is_some()));
}

#[test]
fn memory_is_what_it_is_told_to_be() {
    // It takes 256 MiB more.
    let sample = "{\"id\": \"memory\"}\n";
    let of = |memory| {
        let limits = OracleLimits { memory, ..LIMITS };
        checked(&floodgate_test_components::misbehaving(), sample, limits).judged
    };
    assert_eq!((of(64 << 20), of(300 << 20)), (0, 1));
}
