use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;
use tracing::error;

use super::admit::{Admission, Hindered};
use super::gate::Asked;
use super::keys::KeyRing;
use super::openapi::Document;
use super::pages::Page;
use super::query::Querying;
use super::track::Tracking;
use super::visitor::Visitor;
use super::{Health, Refusal, Response, docs, respond};
use floodgate_archive_client::Archive;
use floodgate_backbone::{Backbone, OwnerHash};
use floodgate_flow::{Flow, FlowName, TrackPath};
use floodgate_http::origin::{Origins, check_host};
use floodgate_http::request_id::{request_id, tell_request_id};
use floodgate_ledger::Ledger;
use floodgate_readiness::Readiness;

/// The paths of all flows, and what happens there.
pub struct Ingest {
    routes: ArcSwap<Routes>,
    backbone: Arc<dyn Backbone>,
    ledger: Arc<dyn Ledger>,
    archive: Arc<Archive>,
    health: Health,
    readiness: Arc<Readiness>,
    keys: Arc<ArcSwap<KeyRing>>,
    /// Whose pages may post.
    origins: Origins,
    /// What was admitted would not be decided.
    ledger_unusable: AtomicBool,
    /// Large bodies that are checked at a time.
    pub(super) checking: Arc<Semaphore>,
    started: Instant,
}

#[derive(Default)]
struct Routes {
    admissions: Vec<Arc<Admission>>,
    /// By path, without a slash at its end.
    paths: matchit::Router<Route>,
    /// Whether any flows were ever given, none of them perhaps.
    made: bool,
}

/// What happens at a path.
#[derive(Clone, Default)]
struct Route {
    post: Option<Arc<Admission>>,
    get: Option<Get>,
}

#[derive(Clone)]
enum Get {
    Health,
    Readiness,
    Document(Arc<Document>),
    Docs,
    Page(Arc<Admission>, Arc<Page>),
    Track(Arc<Admission>),
    Query(Arc<Querying>),
}

impl Ingest {
    pub fn new(
        backbone: Arc<dyn Backbone>,
        ledger: Arc<dyn Ledger>,
        archive: Arc<Archive>,
        health: Health,
        readiness: Arc<Readiness>,
        keys: Arc<ArcSwap<KeyRing>>,
        origins: Origins,
    ) -> Self {
        let ingest = Self {
            routes: ArcSwap::default(),
            backbone,
            ledger,
            archive,
            health,
            readiness,
            keys,
            origins,
            ledger_unusable: AtomicBool::new(false),
            checking: Arc::new(Semaphore::new(
                std::thread::available_parallelism().map_or(1, usize::from),
            )),
            started: Instant::now(),
        };
        ingest.use_flows(&[]);
        ingest
    }

    /// Admits to these flows from now on, and to no others. Starts a batcher
    /// for each partition of those that are new or changed, on the current
    /// runtime; requests in flight finish by what they began with. Does nothing
    /// where the flows are those of before.
    pub fn use_flows(&self, flows: &[Arc<Flow>]) {
        let before = self.routes.load();
        if before.is_of(flows) {
            return;
        }
        let admission = |flow: &Arc<Flow>| {
            let mut known = before.admissions.iter();
            let known = known.find(|known| Arc::ptr_eq(&known.flow, flow)).cloned();
            let started = || {
                let (backbone, ledger) = (&self.backbone, &self.ledger);
                Arc::new(Admission::start(
                    Arc::clone(flow),
                    backbone,
                    ledger,
                    &self.keys,
                    &self.checking,
                ))
            };
            known.unwrap_or_else(started)
        };
        let mut routes = Routes {
            admissions: flows.iter().map(admission).collect(),
            made: true,
            ..Routes::default()
        };
        let document = Arc::new(Document::of(flows));
        for (path, get) in [
            ("/healthz", Get::Health),
            ("/readyz", Get::Readiness),
            ("/openapi.json", Get::Document(document)),
            ("/docs", Get::Docs),
            ("/docs/{*file}", Get::Docs),
        ] {
            routes.add(path, |route| route.get = Some(get));
        }
        for admission in routes.admissions.clone() {
            self.add(&mut routes, &admission);
        }
        self.routes.store(Arc::new(routes));
    }

    fn add(&self, routes: &mut Routes, admission: &Arc<Admission>) {
        let flow = &admission.flow;
        let post = Arc::clone(admission);
        routes.add(&flow.admit.path, |route| route.post = Some(post));
        if let Some(track) = &flow.track {
            let get = Get::Track(Arc::clone(admission));
            routes.add(track.path.route(), |route| route.get = Some(get));
        }
        for query in &flow.queries {
            let querying = Arc::new(Querying::new(admission, query, &self.archive));
            let get = Get::Query(querying);
            routes.add(&query.path, |route| route.get = Some(get));
        }
        for (index, page) in flow.health.iter().enumerate() {
            let (backbone, ledger) = (&self.backbone, &self.ledger);
            let made = Page::new(flow, index, backbone, ledger, &self.health, self.started);
            let get = Get::Page(Arc::clone(admission), Arc::new(made));
            routes.add(&page.path, |route| route.get = Some(get));
        }
    }

    /// From now on the flow answers 503, for this reason; or with `None`,
    /// admits again.
    pub fn hinder(&self, flow: &FlowName, by: Option<Hindered>) {
        let by = by.map(Arc::new);
        for admission in &self.routes.load().admissions {
            if admission.flow.name == *flow {
                admission.hindered.store(by.clone());
            }
        }
    }

    /// From now on every flow answers 503, because nothing can be stored in the
    /// ledger; or admits again.
    pub fn ledger_is_unusable(&self, unusable: bool) {
        self.ledger_unusable.store(unusable, Ordering::Relaxed);
    }

    pub(super) async fn answer(&self, request: Request<Incoming>, from: &Visitor) -> Response {
        // Taken apart here: what is handed on by value is copied at each step.
        let (head, body) = request.into_parts();
        let request_id = request_id(&head.headers);
        let answer = self.route(&head, body, &request_id, from).await;
        let mut response = answer.unwrap_or_else(|refusal| refusal.answer(&request_id));
        tell_request_id(&mut response, &request_id);
        response
    }

    async fn route(
        &self,
        head: &Parts,
        body: Incoming,
        request_id: &Arc<str>,
        from: &Visitor,
    ) -> Result<Response, Refusal> {
        check_host(head.version, &head.headers)?;
        let routes = self.routes.load_full();
        let path = head.uri.path();
        let path = match path.strip_suffix('/') {
            // The root is nothing but its slash.
            None | Some("") => path,
            Some(without) => without,
        };
        let found = routes.paths.at(path).map_err(|_| Refusal::NotFound)?;
        let route = found.value;
        match (&head.method, &route.post, &route.get) {
            (&Method::POST, Some(admission), _) => {
                admission.check_origin(head, &self.origins)?;
                if self.ledger_unusable.load(Ordering::Relaxed) {
                    return Err(admission.refused(Refusal::LedgerUnusable));
                }
                let answer = admission.answer(&head.headers, body, request_id, from);
                answer.await
            }
            // Those below are few, and would make the one above larger.
            (&Method::GET | &Method::HEAD, _, Some(Get::Query(querying))) => {
                let answer = querying.answer(&head.headers, &head.uri, request_id, &from.peer);
                Box::pin(answer).await
            }
            (&Method::GET | &Method::HEAD, _, Some(get)) => {
                let asked = Asked {
                    headers: &head.headers,
                    request_id,
                    peer: &from.peer,
                };
                Box::pin(self.get(get, &found.params, &head.uri, &asked)).await
            }
            (method, ..) => other_method(method, route.allow()),
        }
    }

    async fn get(
        &self,
        get: &Get,
        parameters: &matchit::Params<'_, '_>,
        uri: &Uri,
        asked: &Asked<'_>,
    ) -> Result<Response, Refusal> {
        match get {
            Get::Health => Ok((self.health)().await.response()),
            Get::Readiness => Ok(self.ready().await),
            Get::Document(document) => Ok(in_force(document)),
            Get::Docs => {
                let file = parameters.get("file");
                file.map_or_else(|| docs::page(uri.path()), docs::file)
            }
            Get::Page(admission, page) => {
                let answer = async |_owner| Ok(page.answer().await);
                admission.shown(page.open(), asked, answer).await
            }
            Get::Track(admission) => {
                let track = admission.flow.track.as_ref().ok_or(Refusal::NotFound)?;
                let answer = async |owner: Option<Arc<str>>| {
                    let id = asked_id(&track.path, parameters, uri)?;
                    let tracking = Tracking {
                        flow: &admission.flow,
                        track,
                        backbone: &*self.backbone,
                        ledger: &*self.ledger,
                        archive: &self.archive,
                        owner: owner.as_deref().map(OwnerHash::of),
                    };
                    tracking.answer(&id).await
                };
                admission.shown(track.open, asked, answer).await
            }
            Get::Query(_) => Err(Refusal::NotFound),
        }
    }

    async fn ready(&self) -> Response {
        let report = self.readiness.report().await;
        let page = serde_json::to_vec(&report).unwrap_or_default();
        respond(report.status(), page)
    }
}

/// Finds the id that a request to a track page asks for.
fn asked_id(
    path: &TrackPath,
    parameters: &matchit::Params<'_, '_>,
    uri: &Uri,
) -> Result<String, Refusal> {
    match path {
        TrackPath::Segment(_) => {
            let id = parameters.get("id").unwrap_or_default();
            let id = percent_decode_str(id).decode_utf8();
            Ok(id.map_err(|_| Refusal::NotFound)?.into_owned())
        }
        TrackPath::Query { parameter, .. } => {
            let query = uri.query().unwrap_or_default().as_bytes();
            let mut parameters = form_urlencoded::parse(query);
            let id = parameters.find(|(name, _)| *name == **parameter);
            let (_, id) = id.ok_or_else(|| Refusal::NoParameter(Arc::clone(parameter)))?;
            Ok(id.into_owned())
        }
    }
}

/// Flow files change, and nobody tells the browser.
fn in_force(document: &Document) -> Response {
    let mut response = respond(StatusCode::OK, document.json());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

impl Routes {
    /// Whether they were made of exactly these flows.
    fn is_of(&self, flows: &[Arc<Flow>]) -> bool {
        let mut pairs = self.admissions.iter().zip(flows);
        let as_many = self.admissions.len() == flows.len();
        self.made && as_many && pairs.all(|(known, flow)| Arc::ptr_eq(&known.flow, flow))
    }

    fn add(&mut self, path: &str, set: impl FnOnce(&mut Route)) {
        if let Ok(known) = self.paths.at_mut(path)
            && known.params.is_empty()
        {
            return set(known.value);
        }
        let mut route = Route::default();
        set(&mut route);
        // The flow files were checked: no two of them name the same path.
        if let Err(error) = self.paths.insert(path, route) {
            error!(path, %error, "path not served");
        }
    }
}

impl Route {
    fn allow(&self) -> &'static str {
        match (&self.post, &self.get) {
            (Some(_), Some(_)) => "GET, HEAD, POST, OPTIONS",
            (Some(_), None) => "POST, OPTIONS",
            (None, _) => "GET, HEAD, OPTIONS",
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::tests::Front;

    #[tokio::test]
    async fn the_same_flows_again_change_nothing() {
        let flows = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../flows");
        let flows = Flow::load_dir(&flows).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let flows: Vec<_> = flows.into_iter().map(Arc::new).collect();
        let ingest = Front::start().await.ingest;
        ingest.use_flows(&flows);
        let routes = ingest.routes.load_full();
        ingest.use_flows(&flows);
        assert!(Arc::ptr_eq(&routes, &ingest.routes.load_full()));
        ingest.use_flows(&flows[1..]);
        assert!(!Arc::ptr_eq(&routes, &ingest.routes.load_full()));
    }
}
