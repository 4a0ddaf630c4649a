//! What the front end takes and answers, in OpenAPI 3.1: made from the flow
//! files in force, and from the refusals as the front end makes them.

mod operations;
mod queries;
mod replies;
mod responses;
mod schemas;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use floodgate_flow::Flow;

/// The document of a set of flows, made when it is first asked for.
pub(super) struct Document {
    flows: Vec<Arc<Flow>>,
    json: OnceLock<Bytes>,
}

impl Document {
    pub fn of(flows: &[Arc<Flow>]) -> Self {
        Self {
            flows: flows.to_vec(),
            json: OnceLock::new(),
        }
    }

    pub fn json(&self) -> Bytes {
        let made = || document(&self.flows).to_string().into();
        self.json.get_or_init(made).clone()
    }
}

const ABOUT: &str = "Every flow takes JSON with POST. What is answered with 2xx is durable and \
    will be judged once; every refusal is a problem document (RFC 9457) that says whether sending \
    again is safe. Only what is no HTTP at all (400), and a head of more than 64 KiB (431), is answered \
    by the HTTP library, without a problem document and without an X-Request-Id. No object of a body \
    has the same key twice, and no string an escaped NUL.";

fn document(flows: &[Arc<Flow>]) -> Value {
    let mut paths = Map::new();
    let mut schemas = schemas::of_the_front_end();
    for flow in flows {
        schemas.insert(flow.name.to_string(), schemas::embedded(flow));
        operations::of_flow(flow, &mut paths);
    }
    operations::of_the_front_end(&mut paths);
    let tag = |flow: &Arc<Flow>| json!({ "name": flow.name.as_str() });
    let tags = flows.iter().map(tag);
    let own = json!({ "name": operations::OWN, "description": "What every Floodgate answers" });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Floodgate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
        },
        "tags": tags.chain([own]).collect::<Value>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": operations::parameters(),
            "headers": responses::headers(),
            "securitySchemes": {
                "ApiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "floodgate keys new makes one",
                },
            },
        },
    })
}
