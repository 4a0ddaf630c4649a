use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, StatusCode};

use super::admit::Admission;
use super::{Health, Refusal, Response};
use crate::backbone::Backbone;
use crate::flow::{Flow, FlowName};

/// The paths of all flows, and what happens there.
pub struct Ingest {
    /// By path, without a slash at its end.
    flows: HashMap<Arc<str>, Admission>,
    health: Health,
}

impl Ingest {
    /// Starts a batcher for each flow and partition on the current runtime;
    /// they end with the value. The partitions must have been prepared.
    pub fn start(
        flows: impl IntoIterator<Item = Arc<Flow>>,
        backbone: &Arc<dyn Backbone>,
        health: Health,
    ) -> Self {
        let admission = |flow: Arc<Flow>| {
            let path = Arc::clone(&flow.admit.path);
            (path, Admission::start(flow, backbone))
        };
        Self {
            flows: flows.into_iter().map(admission).collect(),
            health,
        }
    }

    /// From now on the flow answers 503, because `component` is not there; or
    /// with `None`, admits again.
    pub fn wait_for(&self, flow: &FlowName, component: Option<String>) {
        let component = component.map(Arc::new);
        for admission in self.flows.values() {
            if admission.flow.name == *flow {
                admission.waits_for.store(component.clone());
            }
        }
    }

    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        body_timeout: Duration,
    ) -> Response {
        self.route(request, body_timeout)
            .await
            .unwrap_or_else(|refusal| refusal.response())
    }

    async fn route(
        &self,
        request: Request<Incoming>,
        body_timeout: Duration,
    ) -> Result<Response, Refusal> {
        let path = request.uri().path();
        let path = path.strip_suffix('/').unwrap_or(path);
        if let Some(admission) = self.flows.get(path) {
            match *request.method() {
                Method::POST => admission.admit(request, body_timeout).await,
                _ => other_method(request.method(), "POST, OPTIONS"),
            }
        } else if path == "/healthz" {
            match *request.method() {
                Method::GET | Method::HEAD => Ok((self.health)().await.response()),
                _ => other_method(request.method(), "GET, HEAD, OPTIONS"),
            }
        } else {
            Err(Refusal::NotFound)
        }
    }
}

fn other_method(method: &Method, allow: &'static str) -> Result<Response, Refusal> {
    if method != Method::OPTIONS {
        return Err(Refusal::MethodNotAllowed(allow));
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert(ALLOW, allow);
    Ok(response)
}
