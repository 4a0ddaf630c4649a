use super::*;
use floodgate_flow::FaultKind;

const DIGEST: &str = "d1";

/// Three entries, of which one is decided, one is not kept and one is dead.
fn right() -> Books {
    let sent = |id: &str, fate| {
        let body = Bytes::from(format!("body of {id}"));
        let answer = Answer::Accepted;
        (id.to_owned(), Sent { answer, body, fate })
    };
    Books {
        sent: BTreeMap::from([
            sent("kept", Fate::Kept { score: 0.9 }),
            sent("low", Fate::NotKept),
            sent("trap", Fate::Dead(&[FaultKind::Trap])),
        ]),
        decisions: vec![decision("kept")],
        dead: vec![dead("trap", "trap")],
        digests: BTreeSet::from([DIGEST.to_owned()]),
        appended: 3,
        open: 0,
    }
}

fn decision(id: &str) -> DecisionRow {
    DecisionRow {
        id: id.to_owned(),
        body: format!("body of {id}"),
        score: Some(0.9),
        digests: vec![DIGEST.to_owned()],
    }
}

fn dead(id: &str, fault: &str) -> DeadRow {
    DeadRow {
        id: id.to_owned(),
        fault: fault.to_owned(),
    }
}

/// What is found once `change` has been made to books that are right.
#[track_caller]
fn finds(expected: &[Mistake], change: impl FnOnce(&mut Books)) {
    let mut books = right();
    change(&mut books);
    let result = reconcile(ProvenFlow::KeepHigh, &books);
    let found: Vec<Mistake> = result.mistakes.keys().copied().collect();
    assert_eq!(found, expected);
    assert_eq!(result.is_right(), expected.is_empty());
}

#[test]
fn each_entry_in_its_place_is_right() {
    finds(&[], |_| {});
    let result = reconcile(ProvenFlow::KeepHigh, &right());
    assert_eq!((result.sent, result.accepted), (3, 3));
    assert_eq!((result.decided, result.dead, result.not_kept), (1, 1, 1));
}

#[test]
fn an_accepted_entry_that_is_nowhere_is_lost() {
    finds(&[Mistake::Lost], |books| books.decisions.clear());
    finds(&[Mistake::Lost], |books| books.dead.clear());
}

#[test]
fn a_second_row_of_an_id_is_a_double() {
    finds(&[Mistake::Doubled], |books| {
        books.decisions.push(decision("kept"));
    });
    finds(&[Mistake::Doubled], |books| {
        books.dead.push(dead("trap", "trap"));
    });
}

#[test]
fn an_entry_cannot_be_decided_and_dead() {
    let both = [Mistake::DecidedAndDead, Mistake::DeadWrongly];
    finds(&both, |books| books.dead.push(dead("kept", "trap")));
    let both = [Mistake::DecidedAndDead, Mistake::DecidedWrongly];
    finds(&both, |books| books.decisions.push(decision("trap")));
}

#[test]
fn what_nobody_sent_is_unknown() {
    finds(&[Mistake::Unknown], |books| {
        books.decisions.push(decision("other"));
    });
    finds(&[Mistake::Unknown], |books| {
        books.dead.push(dead("other", "trap"));
    });
}

#[test]
fn a_low_entry_that_is_kept_is_a_mistake() {
    finds(&[Mistake::KeptWrongly], |books| {
        books.decisions.push(decision("low"));
    });
}

#[test]
fn a_decision_on_another_body_or_by_another_oracle_or_with_another_score_differs() {
    finds(&[Mistake::Differs], |books| {
        books.decisions[0].body = "{}".to_owned();
    });
    finds(&[Mistake::Differs], |books| {
        books.decisions[0].score = Some(0.91);
    });
    finds(&[Mistake::Differs], |books| books.decisions[0].score = None);
    finds(&[Mistake::Differs], |books| {
        books.decisions[0].digests = vec!["d2".to_owned()];
    });
    finds(&[Mistake::Differs], |books| {
        books.decisions[0].digests.clear();
    });
}

#[test]
fn a_conflict_is_a_mistake_even_where_death_was_due() {
    finds(&[Mistake::Differs], |books| {
        books.dead[0].fault = "conflict".to_owned();
    });
}

#[test]
fn a_death_without_a_reason_is_a_mistake() {
    finds(&[Mistake::DeadWrongly], |books| {
        books.dead.push(dead("low", "timeout"));
    });
    finds(&[Mistake::DeadWrongly], |books| {
        books.dead[0].fault = "timeout".to_owned();
    });
}

#[test]
fn a_second_append_is_seen_though_the_ledger_stored_it_once() {
    finds(&[Mistake::AppendedTwice], |books| books.appended = 4);
}

#[test]
fn an_accepted_entry_that_was_never_appended_is_seen_though_it_was_not_to_be_kept() {
    finds(&[Mistake::NotAppended], |books| books.appended = 2);
}

#[test]
fn what_is_still_open_is_a_mistake() {
    finds(&[Mistake::Open], |books| books.open = 1);
}

#[test]
fn an_entry_without_an_answer_may_be_stored_or_not_and_is_told_of() {
    let unanswered = |books: &mut Books| {
        let sent = books.sent.get_mut("kept").unwrap();
        sent.answer = Answer::None;
    };
    finds(&[Mistake::Unanswered], unanswered);
    finds(&[Mistake::Unanswered], |books| {
        unanswered(books);
        books.decisions.clear();
        books.appended = 2;
    });
}

#[test]
fn a_refusal_for_good_is_a_mistake() {
    finds(&[Mistake::Rejected], |books| {
        let sent = books.sent.get_mut("low").unwrap();
        sent.answer = Answer::Rejected(422);
        books.appended = 2;
    });
}

#[test]
fn what_a_hostile_client_did_not_wait_for_may_be_there_or_not() {
    let unawaited = |books: &mut Books| {
        let sent = books.sent.get_mut("kept").unwrap();
        sent.answer = Answer::Unawaited;
    };
    finds(&[], unawaited);
    finds(&[], |books| {
        unawaited(books);
        books.decisions.clear();
        books.appended = 2;
    });
}
