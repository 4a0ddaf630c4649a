use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, StatusCode};

use super::admit::Admission;
use super::{Health, Refusal, Response};
use crate::backbone::Backbone;
use crate::flow::{Flow, FlowName};
use crate::ledger::Ledger;

/// The paths of all flows, and what happens there.
pub struct Ingest {
    /// By path, without a slash at its end.
    flows: ArcSwap<Admissions>,
    backbone: Arc<dyn Backbone>,
    ledger: Arc<dyn Ledger>,
    health: Health,
}

type Admissions = HashMap<Arc<str>, Arc<Admission>>;

impl Ingest {
    pub fn new(backbone: Arc<dyn Backbone>, ledger: Arc<dyn Ledger>, health: Health) -> Self {
        Self {
            flows: ArcSwap::default(),
            backbone,
            ledger,
            health,
        }
    }

    /// Admits to these flows from now on, and to no others. Starts a batcher
    /// for each partition of those that are new or changed, on the current
    /// runtime; requests in flight finish by what they began with.
    pub fn use_flows(&self, flows: &[Arc<Flow>]) {
        let before = self.flows.load();
        let admission = |flow: &Arc<Flow>| {
            let path = Arc::clone(&flow.admit.path);
            let known = before.get(&path);
            let known = known
                .filter(|known| Arc::ptr_eq(&known.flow, flow))
                .cloned();
            let started = || {
                Arc::new(Admission::start(
                    Arc::clone(flow),
                    &self.backbone,
                    &self.ledger,
                ))
            };
            (path, known.unwrap_or_else(started))
        };
        self.flows
            .store(Arc::new(flows.iter().map(admission).collect()));
    }

    /// From now on the flow answers 503, because `component` is not there; or
    /// with `None`, admits again.
    pub fn wait_for(&self, flow: &FlowName, component: Option<String>) {
        let component = component.map(Arc::new);
        for admission in self.flows.load().values() {
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
        let flows = self.flows.load_full();
        if let Some(admission) = flows.get(path) {
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
