use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::Postgres;
use super::call::with;
use super::dead::with_key;
use crate::{
    Buried, DeliveryCounts, DeliveryState, Error, KeptDelivery, LeasedDelivery, Outbox, Route,
    Undelivered,
};
use floodgate_flow::FlowName;

const LEASE: &str = include_str!("queries/lease_deliveries.sql");
const GIVE_UP: &str = include_str!("queries/give_up_delivery.sql");
const REDELIVER: &str = include_str!("queries/redeliver.sql");

const BEGIN_POST: &str = "UPDATE deliveries SET posted_at = now()
    WHERE flow = $1 AND id = $2 AND downstream = $3
      AND leased_by = $4 AND leased_until > now() AND state = 'waiting'";

/// Whoever holds it by now: it is there.
const DELIVERED: &str = "UPDATE deliveries
    SET state = 'delivered', ended_at = now(), error = NULL, posted_at = NULL,
        leased_by = NULL, leased_until = NULL
    WHERE flow = $1 AND id = $2 AND downstream = $3 AND state = 'waiting'";

const NOT_DELIVERED: &str = "UPDATE deliveries
    SET attempts = attempts + $5, error = $6,
        unanswered = CASE WHEN $9 THEN unanswered + 1 WHEN $5 > 0 THEN 0 ELSE unanswered END,
        due_at = now() + make_interval(secs => $7),
        posted_at = CASE WHEN $8 THEN posted_at END, leased_by = NULL, leased_until = NULL
    WHERE flow = $1 AND id = $2 AND downstream = $3 AND leased_by = $4 AND state = 'waiting'";

/// Of what is held, the lease ends and the POST began now at the latest.
const BRING_FORWARD: &str = "UPDATE deliveries
    SET due_at = now() + make_interval(secs => $3),
        leased_until = CASE WHEN leased_until IS NOT NULL
            THEN least(leased_until, now() + make_interval(secs => $3)) END,
        posted_at = CASE WHEN posted_at IS NOT NULL THEN least(posted_at, now()) END
    WHERE flow = $1 AND downstream = $2 AND state = 'waiting'
      AND due_at > now() + make_interval(secs => $3)";

const DELIVERIES: &str = "SELECT downstream, state, attempts, error, ended_at,
        coalesce(leased_until > now(), false) AS in_flight
    FROM deliveries WHERE flow = $1 AND id = $2 ORDER BY downstream";

/// Both counts are of partial indexes: what was delivered long ago is not looked at.
const COUNTS: &str = "SELECT
    (SELECT count(*) FROM deliveries WHERE flow = $1 AND state = 'waiting'),
    (SELECT count(*) FROM deliveries WHERE flow = $1 AND state = 'given-up')";

#[async_trait]
impl Outbox for Postgres {
    async fn lease_deliveries(
        &self,
        route: &Route,
        lease: Duration,
        max: usize,
    ) -> Result<Vec<LeasedDelivery>, Error> {
        let downstream = &route.downstream;
        let hold = (downstream.timeout + downstream.quiet).as_secs_f64();
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let with = with![
            route.flow.as_str() => TEXT,
            &*downstream.name => TEXT,
            &*route.deliverer => TEXT,
            lease.as_secs_f64() => FLOAT8,
            hold => FLOAT8,
            max => INT8,
        ];
        let rows = self.rows(LEASE, with).await?;
        rows.iter()
            .map(|row| {
                Ok(LeasedDelivery {
                    id: row.try_get::<_, &str>("id")?.into(),
                    body: row.try_get("body")?,
                    attempts: attempts(row)?,
                    unanswered: row.try_get::<_, i32>("unanswered")?.unsigned_abs(),
                    error: row.try_get("error")?,
                })
            })
            .collect()
    }

    async fn begin_post(&self, route: &Route, id: &str) -> Result<bool, Error> {
        let (flow, name) = (route.flow.as_str(), &*route.downstream.name);
        let with = with![flow => TEXT, id => TEXT, name => TEXT, &*route.deliverer => TEXT];
        Ok(self.change(BEGIN_POST, with).await? > 0)
    }

    async fn delivered(&self, route: &Route, id: &str) -> Result<(), Error> {
        let (flow, name) = (route.flow.as_str(), &*route.downstream.name);
        self.change(DELIVERED, with![flow => TEXT, id => TEXT, name => TEXT])
            .await?;
        Ok(())
    }

    async fn not_delivered(
        &self,
        route: &Route,
        id: &str,
        undelivered: &Undelivered,
    ) -> Result<(), Error> {
        let (flow, name) = (route.flow.as_str(), &*route.downstream.name);
        let with = with![
            flow => TEXT,
            id => TEXT,
            name => TEXT,
            &*route.deliverer => TEXT,
            i32::from(undelivered.attempt) => INT4,
            undelivered.error => TEXT,
            undelivered.again_after.as_secs_f64() => FLOAT8,
            undelivered.uncertain => BOOL,
            undelivered.unanswered => BOOL,
        ];
        self.change(NOT_DELIVERED, with).await?;
        Ok(())
    }

    async fn give_up_delivery(
        &self,
        route: &Route,
        id: &str,
        partition: u16,
        error: &str,
    ) -> Result<(), Error> {
        let (flow, name) = (route.flow.as_str(), &*route.downstream.name);
        let with = with![
            flow => TEXT,
            id => TEXT,
            name => TEXT,
            &*route.deliverer => TEXT,
            error => TEXT,
            i32::from(partition) => INT4,
        ];
        self.change(GIVE_UP, with).await?;
        Ok(())
    }

    async fn bring_forward(&self, route: &Route, longest: Duration) -> Result<u64, Error> {
        let (flow, name) = (route.flow.as_str(), &*route.downstream.name);
        let longest = longest.as_secs_f64();
        let with = with![flow => TEXT, name => TEXT, longest => FLOAT8];
        self.change(BRING_FORWARD, with).await
    }

    async fn redeliver(&self, buried: &Buried) -> Result<bool, Error> {
        let changed = self.change(REDELIVER, with_key!(buried)).await?;
        Ok(changed > 0)
    }

    async fn deliveries(&self, flow: &FlowName, id: &str) -> Result<Vec<KeptDelivery>, Error> {
        let rows = self
            .rows(DELIVERIES, with![flow.as_str() => TEXT, id => TEXT])
            .await?;
        rows.iter().map(kept).collect()
    }

    async fn delivery_counts(&self, flow: &FlowName) -> Result<DeliveryCounts, Error> {
        let row = self.one_row(COUNTS, with![flow.as_str() => TEXT]).await?;
        let count = |column: usize| -> Result<u64, Error> {
            Ok(row.try_get::<_, i64>(column)?.unsigned_abs())
        };
        Ok(DeliveryCounts {
            waiting: count(0)?,
            given_up: count(1)?,
        })
    }
}

fn kept(row: &Row) -> Result<KeptDelivery, Error> {
    let ended_at: Option<Timestamp> = row.try_get("ended_at")?;
    Ok(KeptDelivery {
        name: row.try_get("downstream")?,
        state: DeliveryState::of(row.try_get("state")?, row.try_get("in_flight")?),
        attempts: attempts(row)?,
        error: row.try_get("error")?,
        ended_at: ended_at.and_then(|at| u64::try_from(at.as_millisecond()).ok()),
    })
}

fn attempts(row: &Row) -> Result<u32, Error> {
    Ok(row.try_get::<_, i32>("attempts")?.unsigned_abs())
}
