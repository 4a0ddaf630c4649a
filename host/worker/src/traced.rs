//! The part of a worker in the traces of the requests that entries came with.

use std::collections::HashMap;

use tracing::Span;

use floodgate_backbone::{Delivery, Payload};
use floodgate_flow::{
    Decision, EntryFault, FlowName, REQUEST_ID, StreamId, TRACEPARENT, attribute,
};
use floodgate_telemetry::traces;

/// The spans of a batch; they end when it is dropped. Empty where nobody
/// collects traces.
pub(super) struct Traced {
    /// Of those entries that came with a traced request.
    attempts: HashMap<StreamId, Span>,
    _batch: Span,
}

impl Traced {
    pub fn of(flow: &FlowName, deliveries: &[Delivery]) -> Self {
        let (mut attempts, mut origins) = (HashMap::new(), Vec::new());
        if traces::are_collected() {
            for delivery in deliveries {
                let Payload::Entry(entry) = &delivery.payload else {
                    continue;
                };
                let traceparent = attribute(&entry.attributes, TRACEPARENT);
                if let Some(origin) = traceparent.and_then(traces::origin) {
                    origins.push(origin.clone());
                    let stream_id = delivery.stream_id;
                    let request_id = attribute(&entry.attributes, REQUEST_ID);
                    let attempt = traces::attempt(flow, stream_id, request_id, origin);
                    attempts.insert(stream_id, attempt);
                }
            }
        }
        let batch = match origins.is_empty() {
            true => Span::none(),
            false => traces::batch(flow, deliveries.len(), &origins),
        };
        Self {
            attempts,
            _batch: batch,
        }
    }

    pub fn decided(&self, stream_id: StreamId, decision: &Decision) {
        let Some(attempt) = self.attempt(stream_id) else {
            return;
        };
        if let Some(label) = &decision.label_name {
            attempt.record("floodgate.label", &**label);
        }
        if let Some(score) = decision.score {
            attempt.record("floodgate.score", score);
        }
    }

    pub fn failed(&self, stream_id: StreamId, fault: &EntryFault) {
        if let Some(attempt) = self.attempt(stream_id) {
            attempt.record("otel.status_code", "ERROR");
            attempt.record("floodgate.fault", fault.kind.as_str());
        }
    }

    fn attempt(&self, stream_id: StreamId) -> Option<&Span> {
        match self.attempts.is_empty() {
            true => None,
            false => self.attempts.get(&stream_id),
        }
    }
}
