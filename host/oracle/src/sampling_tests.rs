use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use floodgate_flow::KEY;

fn entry(id: &str, owner: Option<&str>) -> Entry {
    let owner = owner.map(|owner| (KEY.to_owned(), owner.to_owned()));
    Entry {
        id: id.into(),
        body: "{}".into(),
        received_at: 0,
        attributes: owner.into_iter().collect(),
    }
}

/// So many of each owner.
fn of_owners(counts: &[usize]) -> Vec<Control> {
    let owners = counts.iter().enumerate();
    let of_owner = |(owner, count): (usize, &usize)| {
        let name = format!("owner-{owner}");
        let control = move |_| Control {
            sender: Sender::Owner(name.as_str().into()),
            entry: entry("a", Some(&name)),
        };
        (0..*count).map(control).collect::<Vec<_>>()
    };
    owners.flat_map(of_owner).collect()
}

fn of_quarters(quarters: &[i64]) -> Vec<Control> {
    let control = |quarter: &i64| Control {
        sender: Sender::Quarter(*quarter),
        entry: entry(&quarter.to_string(), None),
    };
    quarters.iter().map(control).collect()
}

#[test]
fn where_four_send_nobody_has_more_than_a_quarter() {
    assert_eq!(fair(of_owners(&[24, 1, 1, 1])).len(), 4);
    assert_eq!(fair(of_owners(&[24, 24, 24, 24])).len(), ASKED);
    assert_eq!(fair(of_owners(&[2, 2, 2, 1])).len(), 4);
}

#[test]
fn where_fewer_send_with_keys_they_have_equal_parts() {
    assert_eq!(fair(of_owners(&[24])).len(), ASKED);
    assert_eq!(fair(of_owners(&[24, 2])).len(), 4);
    assert!(fair(Vec::new()).is_empty());
}

#[test]
fn without_keys_four_quarters_of_an_hour_have_to_be_known() {
    assert!(fair(of_quarters(&[1, 2, 3])).is_empty());
    assert_eq!(fair(of_quarters(&[1, 2, 3, 4])).len(), 4);
    // A key that is asked for since an hour ago makes no sender of its own of them.
    let mixed = [of_quarters(&[1]), of_owners(&[9])].concat();
    assert!(fair(mixed).is_empty());
    let day: Vec<i64> = (0..96).collect();
    let asked: Vec<String> = (fair(of_quarters(&day)).iter())
        .map(|entry| entry.id.to_string())
        .collect();
    assert_eq!(asked.len(), ASKED);
    assert_eq!((&*asked[0], &*asked[19]), ("0", "91"), "of the whole day");
}

#[test]
fn a_sender_who_is_known_is_not_drawn_again() {
    let now = Timestamp::UNIX_EPOCH;
    let judged = [entry("a", Some("flood")), entry("b", Some("shop"))];
    let flood = [Sender::Owner("flood".into())];
    for _ in 0..20 {
        let control = drawn(&flood, judged.iter(), now).unwrap();
        assert_eq!(&*control.entry.id, "b");
    }
    assert_eq!(drawn(&flood, judged[..1].iter(), now), None);
    let burst = [entry("a", None)];
    assert!(drawn(&flood, burst.iter(), now).is_some());
    assert_eq!(drawn(&[Sender::Quarter(0)], burst.iter(), now), None);
}

proptest! {
    #[test]
    fn of_four_and_more_no_owner_has_more_than_a_quarter(
        counts in prop::collection::vec(1..30_usize, 4..40),
    ) {
        let fair = fair(of_owners(&counts));
        prop_assert!(fair.len() >= 4);
        let mut parts: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in &fair {
            *parts.entry(owner_of(&entry.attributes).unwrap()).or_default() += 1;
        }
        for (owner, part) in parts {
            prop_assert!(part * 4 <= fair.len(), "{} has {} of {}", owner, part, fair.len());
        }
    }
}
