use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{Cost, Tokens};
use floodgate_flow::{FlowName, Rate};

/// Token buckets. In memory: this process is the only one, and one that is
/// started anew starts with full buckets.
#[derive(Default)]
pub(super) struct Buckets {
    clients: Mutex<Clients>,
}

#[derive(Default)]
struct Clients {
    buckets: HashMap<(FlowName, String), Bucket>,
    /// Those that are full again were dropped, and so many were left.
    left: usize,
}

/// Fewer than that are not worth a look.
const MANY: usize = 10_000;

struct Bucket {
    tokens: f64,
    at: Instant,
    full_at: Instant,
}

impl Buckets {
    pub fn take(&self, flow: &FlowName, bucket: &str, rate: Rate, cost: Cost) -> Tokens {
        let now = Instant::now();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let Clients { buckets, left } = &mut *clients;
        if buckets.len() >= MANY.max(*left * 2) {
            buckets.retain(|_, bucket| bucket.full_at > now);
            *left = buckets.len();
        }
        let capacity = f64::from(rate.tokens);
        let key = (flow.clone(), bucket.to_owned());
        let bucket = buckets.entry(key).or_insert(Bucket {
            tokens: capacity,
            at: now,
            full_at: now,
        });
        let per_token = rate.per.div_f64(capacity);
        let passed = now.duration_since(bucket.at);
        bucket.at = now;
        bucket.tokens =
            capacity.min(bucket.tokens + passed.as_secs_f64() / per_token.as_secs_f64());
        let taken = bucket.tokens >= f64::from(cost.least);
        if taken {
            bucket.tokens -= f64::from(cost.tokens);
        }
        let full_after = per_token.mul_f64(capacity - bucket.tokens);
        bucket.full_at = now + full_after;
        Tokens {
            taken,
            // Of a debt it makes 0.
            left: bucket.tokens as u32,
            next_after: match taken {
                true => Duration::ZERO,
                false => per_token.mul_f64(1.0 - bucket.tokens),
            },
            full_after,
        }
    }
}
