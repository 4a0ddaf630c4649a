//! The shipped flows, as the clients of each service see them.

use hyper::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::host::{DEADLINE, Ground, Site};
use crate::support::{self, Floodgate, request};

/// A Floodgate with some of the shipped flows.
pub struct Service {
    pub site: Site,
    pub floodgate: Floodgate,
    pub url: String,
    pub admin: String,
}

impl Service {
    /// Front end and worker, with the shipped oracles.
    pub async fn start(flows: &[&str]) -> Self {
        Self::start_on(Self::site(flows).await).await
    }

    pub async fn start_on(site: Site) -> Self {
        Self::serve(site, "all", &[]).await
    }

    /// Front end and worker in one process, with these arguments.
    pub async fn start_keyed(site: Site, args: &[&str]) -> Self {
        Self::serve(site, "all", args).await
    }

    /// A front end of its own, in front of nobody.
    pub async fn front_end(flows: &[&str]) -> Self {
        Self::front_end_on(Self::site(flows).await).await
    }

    pub async fn front_end_on(site: Site) -> Self {
        Self::front_end_with(site, &[]).await
    }

    pub async fn front_end_with(site: Site, args: &[&str]) -> Self {
        Self::serve(site, "api", args).await
    }

    /// The flows and their oracles as they are shipped.
    pub async fn site(flows: &[&str]) -> Site {
        Self::site_on(Ground::servers().await, flows)
    }

    pub fn site_on(ground: Ground, flows: &[&str]) -> Site {
        let site = Site::of_flows(ground, flows);
        for name in ["mempool-risk", "age-rule", "value-rule", "task-echo"] {
            site.drop_as(name, &format!("plugins/dist/{name}.wasm"));
        }
        site
    }

    async fn serve(site: Site, role: &str, args: &[&str]) -> Self {
        let mut floodgate = site.serve_with(role, args);
        let url = floodgate.url().await;
        let admin = floodgate.admin_url().await;
        Self {
            site,
            floodgate,
            url,
            admin,
        }
    }

    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> (StatusCode, HeaderMap, Value) {
        let url = format!("{}{path}", self.url);
        let (status, headers, answer) = request(method, &url, headers, body).await;
        let answer = serde_json::from_slice(&answer).unwrap_or_default();
        (status, headers, answer)
    }

    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, HeaderMap, Value) {
        self.post_with(path, &[], body).await
    }

    pub async fn post_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> (StatusCode, HeaderMap, Value) {
        self.request("POST", path, headers, body.to_string()).await
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        let (status, _, answer) = self.request("GET", path, &[], String::new()).await;
        (status, answer)
    }

    /// Asks until `member` of the answer is `value`; the answer.
    pub async fn until(&self, path: &str, member: &str, value: &str) -> Value {
        let what = format!("{member} of {path} is {value:?}");
        support::eventually_some(DEADLINE, &what, async || {
            let (_, answer) = self.get(path).await;
            (answer[member] == value).then_some(answer)
        })
        .await
    }

    /// Entries of the flow that are neither settled nor dead.
    pub async fn open(&self, flow: &str) -> u64 {
        let flows = crate::host::get(&self.admin, "/flows").await;
        let flows = flows.as_array().unwrap();
        let flow = flows.iter().find(|known| known["name"] == flow).unwrap();
        flow["open"].as_u64().unwrap()
    }
}
