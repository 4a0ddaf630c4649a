use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::Embedded;
use crate::{
    Buried, DeliveryCounts, DeliveryState, Error, KeptDelivery, LeasedDelivery, Outbox, Route,
    Undelivered,
};
use floodgate_embedded::now;
use floodgate_embedded::values::millis;
use floodgate_flow::FlowName;

/// What was posted with an unknown outcome is held back; see [`Outbox`].
const DUE: &str = "SELECT id, body, attempts, unanswered, error
    FROM deliveries JOIN decisions USING (flow, id)
    WHERE flow = ?1 AND downstream = ?2 AND state = 'waiting' AND due_at <= ?3
      AND (leased_until IS NULL OR leased_until <= ?3)
      AND (posted_at IS NULL OR posted_at <= ?4)
    ORDER BY due_at LIMIT ?5";

const TAKE: &str = "UPDATE deliveries SET leased_by = ?4, leased_until = ?5
    WHERE flow = ?1 AND id = ?2 AND downstream = ?3";

const BEGIN_POST: &str = "UPDATE deliveries SET posted_at = ?5
    WHERE flow = ?1 AND id = ?2 AND downstream = ?3
      AND leased_by = ?4 AND leased_until > ?5 AND state = 'waiting'";

/// Whoever holds it by now: it is there.
const DELIVERED: &str = "UPDATE deliveries
    SET state = 'delivered', ended_at = ?4, error = NULL, posted_at = NULL,
        leased_by = NULL, leased_until = NULL
    WHERE flow = ?1 AND id = ?2 AND downstream = ?3 AND state = 'waiting'";

const NOT_DELIVERED: &str = "UPDATE deliveries
    SET attempts = attempts + ?5, error = ?6, due_at = ?7,
        unanswered = CASE WHEN ?9 THEN unanswered + 1 WHEN ?5 THEN 0 ELSE unanswered END,
        posted_at = CASE WHEN ?8 THEN posted_at END, leased_by = NULL, leased_until = NULL
    WHERE flow = ?1 AND id = ?2 AND downstream = ?3 AND leased_by = ?4 AND state = 'waiting'";

const GIVE_UP: &str = "UPDATE deliveries
    SET state = 'given-up', ended_at = ?6, error = ?5, leased_by = NULL, leased_until = NULL
    WHERE flow = ?1 AND id = ?2 AND downstream = ?3 AND leased_by = ?4 AND state = 'waiting'";

const BURY: &str = "INSERT INTO dead_letters (
        flow, partition, stream_id, downstream, id, body, body_hash, fault, error,
        attempts, deliveries, received_at, first_at, last_at, attributes
    )
    SELECT flow, ?4, stream_id, downstream, id, CAST(body AS BLOB), body_hash, 'delivery', ?5,
        deliveries.attempts, 1, received_at, decided_at, ?6, attributes
    FROM deliveries JOIN decisions USING (flow, id)
    WHERE flow = ?1 AND id = ?2 AND downstream = ?3
    ON CONFLICT DO NOTHING";

/// Of what is held, the lease ends and the POST began now at the latest.
const BRING_FORWARD: &str = "UPDATE deliveries
    SET due_at = ?4, leased_until = min(leased_until, ?4), posted_at = min(posted_at, ?3)
    WHERE flow = ?1 AND downstream = ?2 AND state = 'waiting' AND due_at > ?4";

const REDELIVER: &str = "UPDATE deliveries
    SET state = 'waiting', attempts = 0, unanswered = 0, due_at = ?4, ended_at = NULL
    WHERE flow = ?1 AND id = ?2 AND downstream = ?3 AND state = 'given-up'";

fn later(after: Duration) -> i64 {
    now().saturating_add(millis(after))
}

#[async_trait]
impl Outbox for Embedded {
    async fn lease_deliveries(
        &self,
        route: &Route,
        lease: Duration,
        max: usize,
    ) -> Result<Vec<LeasedDelivery>, Error> {
        let route = route.clone();
        self.write(move |db| take_up(db, &route, lease, max)).await
    }

    async fn begin_post(&self, route: &Route, id: &str) -> Result<bool, Error> {
        let (route, id) = (route.clone(), id.to_owned());
        self.write(move |db| {
            let (flow, name) = (route.flow.as_str(), &route.downstream.name);
            let begun = params![flow, id, name, route.deliverer, now()];
            Ok(db.prepare_cached(BEGIN_POST)?.execute(begun)? > 0)
        })
        .await
    }

    async fn delivered(&self, route: &Route, id: &str) -> Result<(), Error> {
        let (route, id) = (route.clone(), id.to_owned());
        self.write(move |db| {
            let (flow, name) = (route.flow.as_str(), &route.downstream.name);
            db.prepare_cached(DELIVERED)?
                .execute(params![flow, id, name, now()])?;
            Ok(())
        })
        .await
    }

    async fn not_delivered(
        &self,
        route: &Route,
        id: &str,
        undelivered: &Undelivered,
    ) -> Result<(), Error> {
        let (route, id, undelivered) = (route.clone(), id.to_owned(), undelivered.clone());
        self.write(move |db| {
            db.prepare_cached(NOT_DELIVERED)?.execute(params![
                route.flow.as_str(),
                id,
                route.downstream.name,
                route.deliverer,
                undelivered.attempt,
                undelivered.error,
                later(undelivered.again_after),
                undelivered.uncertain,
                undelivered.unanswered,
            ])?;
            Ok(())
        })
        .await
    }

    async fn give_up_delivery(
        &self,
        route: &Route,
        id: &str,
        partition: u16,
        error: &str,
    ) -> Result<(), Error> {
        let (route, id, error) = (route.clone(), id.to_owned(), error.to_owned());
        self.write(move |db| {
            let (flow, name, now) = (route.flow.as_str(), &route.downstream.name, now());
            let given_up = params![flow, id, name, route.deliverer, error, now];
            if db.prepare_cached(GIVE_UP)?.execute(given_up)? > 0 {
                let letter = params![flow, id, name, partition, error, now];
                db.prepare_cached(BURY)?.execute(letter)?;
            }
            Ok(())
        })
        .await
    }

    async fn bring_forward(&self, route: &Route, longest: Duration) -> Result<u64, Error> {
        let route = route.clone();
        self.write(move |db| {
            let (flow, name) = (route.flow.as_str(), &route.downstream.name);
            let forward = params![flow, name, now(), later(longest)];
            let forward = db.prepare_cached(BRING_FORWARD)?.execute(forward)?;
            Ok(u64::try_from(forward).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn redeliver(&self, buried: &Buried) -> Result<bool, Error> {
        let generation = buried.generation;
        self.write(move |db| redeliver(db, generation)).await
    }

    async fn deliveries(&self, flow: &FlowName, id: &str) -> Result<Vec<KeptDelivery>, Error> {
        let (flow, id) = (flow.clone(), id.to_owned());
        self.read(move |db| {
            let all = "SELECT downstream, state, attempts, error, ended_at,
                    coalesce(leased_until > ?3, 0) AS in_flight
                FROM deliveries WHERE flow = ?1 AND id = ?2 ORDER BY downstream";
            let mut all = db.prepare_cached(all)?;
            all.query_map(params![flow.as_str(), id, now()], kept)?
                .collect()
        })
        .await
    }

    async fn delivery_counts(&self, flow: &FlowName) -> Result<DeliveryCounts, Error> {
        let flow = flow.clone();
        self.read(move |db| {
            let counts = "SELECT
                (SELECT count(*) FROM deliveries WHERE flow = ?1 AND state = 'waiting'),
                (SELECT count(*) FROM deliveries WHERE flow = ?1 AND state = 'given-up')";
            db.prepare_cached(counts)?
                .query_one([flow.as_str()], |row| {
                    Ok(DeliveryCounts {
                        waiting: row.get::<_, i64>(0)?.unsigned_abs(),
                        given_up: row.get::<_, i64>(1)?.unsigned_abs(),
                    })
                })
        })
        .await
    }
}

pub(super) fn release_everything(db: &Connection) -> rusqlite::Result<()> {
    let free = "UPDATE deliveries SET leased_by = NULL, leased_until = NULL
        WHERE leased_by IS NOT NULL";
    db.execute(free, ())?;
    Ok(())
}

fn take_up(
    db: &Connection,
    route: &Route,
    lease: Duration,
    max: usize,
) -> rusqlite::Result<Vec<LeasedDelivery>> {
    let (flow, downstream) = (route.flow.as_str(), &route.downstream);
    let posted_before = now().saturating_sub(millis(downstream.timeout + downstream.quiet));
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let which = params![flow, downstream.name, now(), posted_before, max];
    let mut due = db.prepare_cached(DUE)?;
    let due = due.query_map(which, |row| {
        Ok(LeasedDelivery {
            id: row.get_ref("id")?.as_str()?.into(),
            body: row.get("body")?,
            attempts: row.get("attempts")?,
            unanswered: row.get("unanswered")?,
            error: row.get("error")?,
        })
    })?;
    let due: Vec<LeasedDelivery> = due.collect::<Result<_, _>>()?;
    let mut take = db.prepare_cached(TAKE)?;
    for delivery in &due {
        let until = later(lease);
        take.execute(params![
            flow,
            delivery.id,
            downstream.name,
            route.deliverer,
            until
        ])?;
    }
    Ok(due)
}

fn redeliver(db: &Connection, generation: i64) -> rusqlite::Result<bool> {
    // There is nothing to deliver of what was erased.
    let letter = "DELETE FROM dead_letters WHERE generation = ?1 AND body <> x''
        RETURNING flow, id, downstream";
    let mut letter = db.prepare_cached(letter)?;
    let mut letters = letter.query_map([generation], |row| {
        let found: (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(found)
    })?;
    let Some((flow, id, downstream)) = letters.next().transpose()? else {
        return Ok(false);
    };
    let again = params![flow, id, downstream, now()];
    Ok(db.prepare_cached(REDELIVER)?.execute(again)? > 0)
}

fn kept(row: &Row<'_>) -> rusqlite::Result<KeptDelivery> {
    let state = row.get_ref("state")?.as_str()?;
    Ok(KeptDelivery {
        name: row.get("downstream")?,
        state: DeliveryState::of(state, row.get("in_flight")?),
        attempts: row.get("attempts")?,
        error: row.get("error")?,
        ended_at: row
            .get::<_, Option<i64>>("ended_at")?
            .map(i64::unsigned_abs),
    })
}
