use proptest::prelude::*;

use super::*;

fn entries(what: &[&str]) -> Vec<Entry> {
    let entry = |what: &&str| Entry {
        id: (*what).into(),
        body: "{}".into(),
        received_at: 0,
        attributes: Default::default(),
    };
    what.iter().map(entry).collect()
}

/// An entry's id says what becomes of it.
fn tried(operator: &[&str], sampled: &[&str]) -> Finding {
    let controls = Controls {
        operator: entries(operator),
        sampled: entries(sampled),
    };
    try_on(&controls, |entry| {
        let kind = match &*entry.id {
            "trap" => FaultKind::Trap,
            "timeout" => FaultKind::Timeout,
            "memory" => FaultKind::Memory,
            "refused" => FaultKind::Refused,
            "bad-score" => FaultKind::BadScore,
            "unreached" => return None,
            _ => {
                return Some(Ok(Verdict {
                    score: 0.5,
                    reasons: Vec::new(),
                    output: None,
                }));
            }
        };
        let error = entry.id.to_string();
        Some(Err(Refusal { kind, error }))
    })
}

fn manner(finding: &Finding) -> Option<Manner> {
    match finding {
        Finding::Convicted(conviction) => Some(conviction.manner),
        _ => None,
    }
}

#[test]
fn without_controls_nothing_is_known() {
    assert_eq!(tried(&[], &[]), Finding::Unknown);
}

#[test]
fn half_of_the_controls_judged_clears() {
    assert_eq!(tried(&["trap", "good"], &[]), Finding::Cleared);
    assert_eq!(tried(&["trap"], &["good"]), Finding::Cleared);
    assert_eq!(tried(&[], &["refused", "good"]), Finding::Cleared);
}

#[test]
fn traps_timeouts_and_memory_are_one_manner_of_failing() {
    let finding = tried(&["trap", "timeout"], &["memory"]);
    assert_eq!(manner(&finding), Some(Manner::Breaks));
    let finding = tried(&["refused"], &["bad-score", "refused"]);
    assert_eq!(manner(&finding), Some(Manner::Refuses));
}

#[test]
fn two_manners_of_failing_convict_nobody() {
    let finding = tried(&["trap"], &["refused"]);
    assert!(matches!(finding, Finding::Unclear(_)), "{finding:?}");
}

#[test]
fn nine_of_ten_of_one_kind_are_not_enough_where_the_other_is_judged() {
    let traps = ["trap"; 10];
    assert_eq!(manner(&tried(&traps, &[])), Some(Manner::Breaks));
    let nine = [&["good"][..], &["trap"; 9]].concat();
    assert_eq!(manner(&tried(&nine, &traps)), Some(Manner::Breaks));
    let eight = [&["good"; 2][..], &["trap"; 8]].concat();
    let finding = tried(&eight, &traps);
    assert!(matches!(finding, Finding::Unclear(_)), "{finding:?}");
}

#[test]
fn an_oracle_that_loops_on_everything_is_asked_forty_times() {
    let controls = Controls {
        operator: entries(&["timeout"; 100]),
        sampled: entries(&["timeout"; 96]),
    };
    let mut asked = 0;
    let finding = try_on(&controls, |_| {
        asked += 1;
        let error = "interrupt".to_owned();
        Some(Err(Refusal {
            kind: FaultKind::Timeout,
            error,
        }))
    });
    assert_eq!(asked, 40);
    assert_eq!(manner(&finding), Some(Manner::Breaks));
}

#[test]
fn what_was_not_reached_counts_neither_way_and_three_of_each_kind_have_to_be() {
    let three = [&["timeout"; 3][..], &["unreached"; 17]].concat();
    let finding = tried(&three, &three);
    assert_eq!(manner(&finding), Some(Manner::Breaks));
    let Finding::Convicted(why) = finding else {
        unreachable!("it was convicted");
    };
    assert_eq!((why.failed, why.of, why.unreached), (6, 6, 34));
    let two = &three[1..];
    for finding in [tried(two, &[]), tried(two, &three), tried(&three, two)] {
        assert!(matches!(finding, Finding::Unclear(_)), "{finding:?}");
    }
    assert_eq!(
        tried(&["good", "unreached", "unreached"], &[]),
        Finding::Cleared
    );
    assert_eq!(tried(&["unreached"], &[]), Finding::Unknown);
}

#[test]
fn of_many_controls_those_asked_about_are_from_everywhere_in_the_list() {
    let many: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let many = entries(&many);
    let asked: Vec<&str> = spread(&many).iter().map(|entry| &*entry.id).collect();
    assert_eq!((asked.len(), asked[0], asked[19]), (20, "0", "95"));
    assert_eq!(spread(&many[..3]).len(), 3);
    assert!(spread(&[]).is_empty());
}

proptest! {
    /// Whatever strangers make of the sample, an oracle that judges what its
    /// operator named is never convicted, and the other way round.
    #[test]
    fn one_kind_alone_convicts_nobody(
        stranger in prop::collection::vec(
            prop::sample::select(vec!["trap", "timeout", "refused", "good"]), 1..30),
        others in 1..30_usize,
    ) {
        let good = vec!["good"; others];
        prop_assert_eq!(manner(&tried(&good, &stranger)), None);
        prop_assert_eq!(manner(&tried(&stranger, &good)), None);
    }
}
