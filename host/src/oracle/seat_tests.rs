use super::seat::{Seat, wanted};
use crate::flow::Digest;
use crate::ledger::Choice;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

#[test]
fn a_pinned_digest_is_in_force_whatever_is_dropped() {
    let choice = Choice::Pinned {
        digest: digest("a"),
    };
    assert_eq!(wanted(Some(digest("b")), Some(&choice)), Some(digest("a")));
    assert_eq!(wanted(None, Some(&choice)), Some(digest("a")));
}

#[test]
fn a_rollback_counts_until_another_file_is_dropped() {
    let choice = Choice::RolledBack {
        to: digest("old"),
        rejected: digest("bad"),
    };
    assert_eq!(
        wanted(Some(digest("bad")), Some(&choice)),
        Some(digest("old"))
    );
    assert_eq!(wanted(None, Some(&choice)), Some(digest("old")));
    assert_eq!(
        wanted(Some(digest("new")), Some(&choice)),
        Some(digest("new"))
    );
}

#[test]
fn an_old_answer_of_the_ledger_does_not_undo_a_choice_made_meanwhile() {
    let seat = Seat::new("a".into());
    let token = seat.choice_token().unwrap();
    assert!(seat.go_back(digest("old"), digest("bad")));
    seat.choice_read(token, None);
    let (number, choice) = seat.choice();
    assert!(choice.is_some());
    assert_eq!(seat.choice_token(), None, "the ledger does not have it yet");
    seat.choice_saved(number);
    seat.choice_read(seat.choice_token().unwrap(), None);
    assert_eq!(seat.choice().1, None);
}
