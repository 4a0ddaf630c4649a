use std::net::IpAddr;
use std::pin::pin;

use futures_util::poll;

use super::*;
use crate::Peers;

const LIMIT: usize = 8 << 20;
const QUARTER: usize = LIMIT / 4;
/// No more than a lone body may have beside it.
const LITTLE: usize = 64 << 10;

fn peers<const N: usize>() -> [Arc<Peer>; N] {
    let peers = Peers::default();
    std::array::from_fn(|number| peers.of(IpAddr::from([10, 0, 0, number as u8])))
}

/// A body that has been arriving for a minute, and has so many bytes.
async fn old(budget: &Arc<Budget>, peer: &Arc<Peer>, bytes: usize) -> Arrival {
    let began = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
    let mut arrival = budget.arrive_since(peer, began);
    arrival.arrived(bytes);
    arrival.take(bytes).await.unwrap();
    arrival
}

#[tokio::test]
async fn a_peer_holds_at_most_a_quarter_and_others_the_rest() {
    let (budget, [one, other]) = (Budget::new(LIMIT), peers());
    let first = budget.take_whole(&one, QUARTER - LITTLE).await.unwrap();
    assert_eq!(
        budget.take_whole(&one, 2 * LITTLE).await.err(),
        Some(Exhausted)
    );
    let second = budget.take_whole(&one, LITTLE).await.unwrap();
    let third = budget.take_whole(&other, QUARTER).await.unwrap();
    assert_eq!(budget.held(), 2 * QUARTER);
    drop((first, second, third));
    assert_eq!(budget.held(), 0);
    assert_eq!(one.bytes.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_only_body_of_a_peer_may_be_larger_than_a_quarter() {
    let (budget, [peer]) = (Budget::new(LIMIT), peers());
    let _windows = budget.take_now(&peer, WINDOWS).unwrap();
    let mut body = budget.arrive(&peer);
    for _ in 0..3 {
        body.take(QUARTER).await.unwrap();
    }
    assert!(!body.refused().is_cancelled());
    let second = pin!(budget.take_whole(&peer, QUARTER));
    assert!(poll!(second).is_pending());
    assert!(
        body.refused().is_cancelled(),
        "it is not the only one any more"
    );
}

#[tokio::test]
async fn an_eighth_is_kept_for_bodies_that_come_whole() {
    let (budget, peers) = (Budget::new(LIMIT), peers::<5>());
    let mut arriving = Vec::new();
    for peer in &peers[..4] {
        arriving.push(budget.arrive(peer));
    }
    for arrival in &mut arriving {
        arrival.arrived(1);
        arrival.take(LIMIT * 7 / 32).await.unwrap();
    }
    let mut next = budget.arrive(&peers[4]);
    assert_eq!(next.take(1).await, Err(Exhausted), "it is the slowest");
    let _whole = budget.take_whole(&peers[4], LIMIT / 8).await.unwrap();
    assert_eq!(budget.held(), LIMIT);
}

#[tokio::test]
async fn the_slowest_body_makes_room_and_not_the_newest() {
    let (budget, peers) = (Budget::new(LIMIT), peers::<5>());
    let fast = old(&budget, &peers[0], QUARTER).await;
    let slow = old(&budget, &peers[1], QUARTER - LITTLE).await;
    let faster = old(&budget, &peers[2], QUARTER).await;
    let mut newest = budget.arrive(&peers[3]);
    {
        let mut taking = Box::pin(newest.take(QUARTER));
        assert!(poll!(&mut taking).is_pending());
        assert!(poll!(&mut taking).is_pending());
        let told = [&fast, &slow, &faster].map(|arrival| arrival.refused().is_cancelled());
        assert_eq!(told, [false, true, false], "one is enough");
        drop(slow);
        taking.await.unwrap();
    }
    assert!(!newest.refused().is_cancelled());
}

#[tokio::test]
async fn who_holds_too_much_is_judged_among_its_own_bodies() {
    let (budget, peers) = (Budget::new(LIMIT), peers::<2>());
    let slowest_of_all = old(&budget, &peers[0], 1).await;
    let own = old(&budget, &peers[1], QUARTER).await;
    let mut next = budget.arrive(&peers[1]);
    let mut taking = Box::pin(next.take(QUARTER / 2));
    assert!(poll!(&mut taking).is_pending());
    assert!(own.refused().is_cancelled());
    assert!(!slowest_of_all.refused().is_cancelled());
    drop(own);
    taking.await.unwrap();
}

#[tokio::test]
async fn where_nobody_can_make_room_a_body_is_refused_at_once() {
    let (budget, peers) = (Budget::new(LIMIT), peers::<5>());
    let mut held = Vec::new();
    for peer in &peers[..4] {
        held.push(budget.take_whole(peer, QUARTER).await.unwrap());
    }
    assert_eq!(budget.take_whole(&peers[4], 1).await.err(), Some(Exhausted));
    held.pop();
    assert!(budget.take_whole(&peers[4], 1).await.is_ok());
}

#[tokio::test]
async fn a_whole_body_is_given_back_once() {
    let (budget, [peer]) = (Budget::new(LIMIT), peers());
    let mut arrival = budget.arrive(&peer);
    arrival.take(1000).await.unwrap();
    let grant = arrival.whole();
    assert_eq!(budget.held(), 1000);
    assert!(budget.arriving.lock().unwrap().is_empty());
    drop(grant);
    assert_eq!(budget.held(), 0);
}
