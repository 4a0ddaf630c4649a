//! From a request to entries in the backbone.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::sync::Semaphore;
use tracing::Instrument;

use super::batcher::Batcher;
use super::gate::{Allowance, limited};
use super::idempotency::IdempotencyKey;
use super::ids::Ids;
use super::keys::KeyRing;
use super::meter::RequestMeter;
use super::receipt::Receipt;
use super::receive::{check_media_type, receive};
use super::visitor::Visitor;
use super::{Refusal, Response, respond};
use floodgate_backbone::{AppendLimits, Appended, Backbone, NewEntry, Origin, RememberMemory};
use floodgate_flow::{Admitted, BodyHash, Flow, Identity, Inadmissible, Name, Partition};
use floodgate_http::Grant;
use floodgate_ledger::Ledger;
use floodgate_telemetry::traces;

/// Checking a larger body would keep the other requests of its thread waiting.
const LARGE: usize = 64 << 10;

static IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Why nobody can judge for a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hindered {
    /// For a component that is not there.
    Waiting(String),
    /// Its oracle fails its control entries.
    Held,
}

/// The way into one flow.
pub(super) struct Admission {
    pub flow: Arc<Flow>,
    pub(super) backbone: Arc<dyn Backbone>,
    status: StatusCode,
    /// One for each partition.
    batchers: Vec<Batcher>,
    ids: Ids,
    /// Large bodies that are checked at a time, of all flows.
    checking: Arc<Semaphore>,
    pub(super) keys: Arc<ArcSwap<KeyRing>>,
    /// Why the flow takes nothing.
    pub hindered: ArcSwapOption<Hindered>,
    pub(super) meter: RequestMeter,
}

impl Admission {
    pub fn start(
        flow: Arc<Flow>,
        backbone: &Arc<dyn Backbone>,
        ledger: &Arc<dyn Ledger>,
        keys: &Arc<ArcSwap<KeyRing>>,
        checking: &Arc<Semaphore>,
    ) -> Self {
        let partitions = flow.stream.partitions.max(1);
        let limits = AppendLimits {
            max_backlog: flow.stream.max_backlog_of_partition(),
            memory: RememberMemory::of(&flow),
        };
        let start = |index| {
            let flow = flow.name.clone();
            Batcher::start(Arc::clone(backbone), Partition { flow, index }, limits)
        };
        Self {
            backbone: Arc::clone(backbone),
            status: StatusCode::from_u16(flow.admit.reply.status).unwrap_or(StatusCode::ACCEPTED),
            batchers: (0..partitions).map(start).collect(),
            ids: Ids::of(&flow, ledger),
            checking: Arc::clone(checking),
            keys: Arc::clone(keys),
            hindered: ArcSwapOption::empty(),
            meter: RequestMeter::of(&flow.name),
            flow,
        }
    }

    /// Answers a request; measures it, and traces it where somebody collects
    /// traces.
    pub async fn answer(
        &self,
        headers: &HeaderMap,
        body: Incoming,
        request_id: &Arc<str>,
        from: &Visitor,
    ) -> Result<Response, Refusal> {
        let began = Instant::now();
        let span = traces::request(headers, &self.flow, request_id);
        let origin = Origin {
            request_id: Arc::clone(request_id),
            key: None,
            owner: None,
            traceparent: traces::traceparent(&span),
        };
        let mut answer = pin!(self.answer_by_limits(headers, body, origin, from));
        let answer = match span.is_disabled() {
            true => answer.await,
            false => {
                let answer = answer.as_mut().instrument(span.clone()).await;
                let status = answer.as_ref();
                let status = status.map_or_else(Refusal::status, Response::status);
                traces::answered(&span, status);
                answer
            }
        };
        self.meter.answered(began.elapsed());
        answer.inspect_err(|refusal| self.meter.refused(refusal))
    }

    /// Counts a request that was refused before it was looked at.
    pub fn refused(&self, refusal: Refusal) -> Refusal {
        self.meter.refused(&refusal);
        refusal
    }

    /// Answers a request that may come in.
    async fn answer_by_limits(
        &self,
        headers: &HeaderMap,
        body: Incoming,
        mut origin: Origin,
        from: &Visitor,
    ) -> Result<Response, Refusal> {
        let caller = self.caller(headers)?;
        let owner = caller.as_ref().map(|caller| Arc::clone(&caller.owner));
        origin.key = caller.map(|caller| caller.key);
        origin.owner.clone_from(&owner);
        let request_id = Arc::clone(&origin.request_id);
        let allowance = self.allowance(owner.as_deref(), &from.peer).await?;
        let answer = pin!(self.admit(headers, body, origin, allowance.as_ref(), from));
        let refused = |refusal: &Refusal| self.meter.refused(refusal);
        limited(allowance.as_ref(), &request_id, answer, refused).await
    }

    /// Answers with the flow's reply once the entry, or the batch, is durable.
    async fn admit(
        &self,
        headers: &HeaderMap,
        body: Incoming,
        origin: Origin,
        allowance: Option<&Allowance<'_>>,
        from: &Visitor,
    ) -> Result<Response, Refusal> {
        check_media_type(headers)?;
        if let Some(by) = &*self.hindered.load() {
            return Err(match &**by {
                Hindered::Waiting(component) => Refusal::Waiting(component.clone()),
                Hindered::Held => Refusal::Held,
            });
        }
        let generates = !matches!(self.flow.admit.id, Identity::Field(_));
        let idempotency_key = IdempotencyKey::of(headers, origin.owner.as_deref(), generates)?;
        let max_body = self.flow.admit.max_body;
        let (body, grant) = receive(body, max_body, from).await?;
        if self.flow.admit.batch {
            return Box::pin(self.admit_batch(body, grant, origin, allowance)).await;
        }
        let (admitted, body_hash) = self.checked_one(body).await?;
        let entry = Unnamed {
            admitted,
            body_hash,
            origin,
            grant,
        };
        self.admit_one(entry, idempotency_key).await
    }

    async fn checked_one(&self, body: Bytes) -> Result<(Admitted, BodyHash), Refusal> {
        let check = |flow: &Flow, body| {
            let admitted = flow.admit.admit(body)?;
            let hash = BodyHash::of(&admitted.body);
            Ok((admitted, hash))
        };
        if body.len() <= LARGE {
            return check(&self.flow, body).map_err(|inadmissible| self.refusal(inadmissible));
        }
        let (flow, size) = (Arc::clone(&self.flow), body.len());
        Box::pin(self.apart(size, move || check(&flow, body))).await
    }

    /// Does what takes long for a large body apart from the threads on which
    /// all requests are answered; as many at a time as there are cores.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        size: usize,
        work: impl FnOnce() -> Result<T, Inadmissible> + Send + 'static,
    ) -> Result<T, Refusal> {
        let done = if size > LARGE {
            let _turn = self.checking.acquire().await;
            let done = tokio::task::spawn_blocking(work).await;
            done.map_err(|_| Refusal::Overloaded)?
        } else {
            work()
        };
        done.map_err(|inadmissible| self.refusal(inadmissible))
    }

    /// Where the body holds its id, the id is what makes two requests the same,
    /// and sending again is safe with an `Idempotency-Key` or without.
    async fn admit_one(
        &self,
        entry: Unnamed,
        idempotency_key: Option<IdempotencyKey>,
    ) -> Result<Response, Refusal> {
        let Unnamed {
            admitted: Admitted { id, body, value },
            body_hash,
            origin,
            grant,
        } = entry;
        let id = match (id, idempotency_key) {
            (Some(id), _) => id,
            (None, None) => self.ids.next().await?,
            (None, Some(key)) => {
                let proposed = self.ids.next().await?;
                key.claim(self, body_hash, proposed).await?
            }
        };
        let reply = Reply::of(&self.flow, &id, value);
        let entry = NewEntry {
            id: Arc::clone(&id),
            body,
            body_hash,
            origin,
        };
        let appended = self.batcher(&id)?.append(entry, grant).await?;
        let reply = reply.rendered(&self.flow, &id, appended);
        Ok(self.accepted(reply, matches!(appended, Appended::Replayed { .. })))
    }

    pub(super) fn batchers(&self) -> impl Iterator<Item = &Batcher> {
        self.batchers.iter()
    }

    pub(super) fn batcher(&self, id: &str) -> Result<&Batcher, Refusal> {
        let partition = self.flow.stream.partition_of(id);
        let batcher = self.batchers.get(usize::from(partition));
        batcher.ok_or(Refusal::Overloaded)
    }

    pub(super) fn refusal(&self, inadmissible: Inadmissible) -> Refusal {
        match inadmissible {
            Inadmissible::NotJson(error) => Refusal::NotJson(error),
            Inadmissible::ItemNotJson { index, error } => Refusal::ItemNotJson { index, error },
            Inadmissible::Invalid(violations) => Refusal::Invalid {
                status: self.flow.admit.status_of(&violations),
                violations,
            },
        }
    }

    pub(super) fn accepted(&self, reply: Vec<u8>, replayed: bool) -> Response {
        let mut response = respond(self.status, reply);
        if replayed {
            let replayed = HeaderValue::from_static("true");
            let headers = response.headers_mut();
            headers.insert(IDEMPOTENT_REPLAYED.clone(), replayed);
        }
        response
    }
}

/// An entry whose id may still have to be found.
struct Unnamed {
    admitted: Admitted,
    body_hash: BodyHash,
    origin: Origin,
    grant: Grant,
}

/// The answer to an entry. It is made before the entry is queued, because what
/// waits there should be small; only what speaks of the time of receipt, which
/// the backbone tells, is made after.
enum Reply {
    Ready(Vec<u8>),
    Later(Value),
}

impl Reply {
    fn of(flow: &Flow, id: &str, body: Value) -> Self {
        if flow.admit.reply.body.mentions(Name::ReceivedAt) {
            return Self::Later(body);
        }
        Self::Ready(rendered(flow, id, None, &body))
    }

    fn rendered(self, flow: &Flow, id: &str, appended: Appended) -> Vec<u8> {
        let received_at = match appended {
            Appended::New(stream_id) | Appended::Replayed { stream_id, .. } => Some(stream_id.ms),
            _ => None,
        };
        match self {
            Self::Ready(reply) => reply,
            Self::Later(body) => rendered(flow, id, received_at, &body),
        }
    }
}

fn rendered(flow: &Flow, id: &str, received_at: Option<u64>, body: &Value) -> Vec<u8> {
    let mut reply = Vec::with_capacity(256);
    let receipt = Receipt {
        flow,
        id: Some(id),
        received_at,
        count: 1,
        body: Some(body),
    };
    flow.admit.reply.body.render(&receipt, &mut reply);
    reply
}
