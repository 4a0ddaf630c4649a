//! From a request to an entry in the backbone.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};

use super::batcher::Batcher;
use super::receipt::Receipt;
use super::receive::{check_media_type, receive};
use super::{Refusal, Response};
use crate::backbone::{AppendLimits, Appended, Backbone, NewEntry, Partition};
use crate::flow::{Admitted, BodyHash, Flow, Inadmissible};

static IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

impl From<Inadmissible> for Refusal {
    fn from(inadmissible: Inadmissible) -> Self {
        match inadmissible {
            Inadmissible::NotJson(error) | Inadmissible::ItemNotJson { error, .. } => {
                Self::NotJson(error)
            }
            Inadmissible::Invalid(violations) => Self::Invalid(violations),
        }
    }
}

/// The way into one flow.
pub(super) struct Admission {
    pub flow: Arc<Flow>,
    status: StatusCode,
    /// One for each partition.
    batchers: Vec<Batcher>,
    /// The component without which the flow takes nothing.
    pub waits_for: ArcSwapOption<String>,
}

impl Admission {
    pub fn start(flow: Arc<Flow>, backbone: &Arc<dyn Backbone>) -> Self {
        let partitions = flow.stream.partitions.max(1);
        let limits = AppendLimits {
            max_backlog: flow.stream.max_backlog.div_ceil(u64::from(partitions)),
        };
        let start = |index| {
            let flow = flow.name.clone();
            Batcher::start(Arc::clone(backbone), Partition { flow, index }, limits)
        };
        Self {
            status: StatusCode::from_u16(flow.admit.reply.status).unwrap_or(StatusCode::ACCEPTED),
            batchers: (0..partitions).map(start).collect(),
            waits_for: ArcSwapOption::empty(),
            flow,
        }
    }

    /// Answers with the flow's reply once the entry is durable.
    ///
    /// `Idempotency-Key` is not looked at: the id in the body is the entry's
    /// identity already, so sending again is safe with the header or without.
    pub async fn admit(
        &self,
        request: Request<Incoming>,
        body_timeout: Duration,
    ) -> Result<Response, Refusal> {
        check_media_type(request.headers())?;
        if let Some(component) = &*self.waits_for.load() {
            return Err(Refusal::Waiting(component.to_string()));
        }
        let admit = &self.flow.admit;
        let body = receive(request.into_body(), admit.max_body, body_timeout).await?;
        let Admitted { id, body, value } = admit.admit(body)?;
        let id = id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string().into());
        // Before the entry is queued: what waits there should be small.
        let mut reply = Vec::with_capacity(256);
        let receipt = Receipt {
            flow: &self.flow,
            id: Some(&id),
            received_at: None,
            count: 1,
            body: Some(&value),
        };
        admit.reply.body.render(&receipt, &mut reply);
        drop(value);

        let batcher = self
            .batchers
            .get(usize::from(self.flow.stream.partition_of(&id)));
        let batcher = batcher.ok_or(Refusal::Overloaded)?;
        let body_hash = BodyHash::of(&body);
        let appended = batcher
            .append(NewEntry {
                id,
                body,
                body_hash,
            })
            .await?;
        Ok(self.accepted(reply, appended == Appended::Replayed))
    }

    fn accepted(&self, reply: Vec<u8>, replayed: bool) -> Response {
        let mut response = Response::new(Bytes::from(reply).into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if replayed {
            let replayed = HeaderValue::from_static("true");
            headers.insert(IDEMPOTENT_REPLAYED.clone(), replayed);
        }
        response
    }
}
