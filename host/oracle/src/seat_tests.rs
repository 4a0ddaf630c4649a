use std::sync::Arc;

use super::component::Oracle;
use super::engine::{Engine, EngineOptions};
use super::remembered::wanted;
use super::seat::Seat;
use floodgate_flow::Digest;
use floodgate_ledger::Choice;

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
fn an_old_answer_of_the_ledger_does_not_undo_what_a_dropped_file_ended() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let dropped = Oracle::load(&engine, &floodgate_test_components::constant(0.1)).unwrap();
    let seat = Seat::new("a".into());
    let rolled_back = || {
        Some(Choice::RolledBack {
            to: digest("old"),
            rejected: digest("bad"),
        })
    };
    seat.choice_read(seat.choice_token().unwrap(), rolled_back());
    let token = seat.choice_token().unwrap();
    assert!(seat.file_taken(Arc::new(dropped)), "that ends the rollback");
    seat.choice_read(token, rolled_back());
    let (number, choice) = seat.choice();
    assert_eq!(choice, None);
    assert_eq!(seat.choice_token(), None, "the ledger does not have it yet");
    seat.choice_saved(number);
    seat.choice_read(seat.choice_token().unwrap(), rolled_back());
    assert_eq!(seat.choice().1, rolled_back());
}
