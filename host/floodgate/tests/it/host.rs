//! Floodgate with the flow `transactions`, as its users see it.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sql::{ask_file, ask_postgres};
use crate::support::{self, Floodgate, PrivatePostgres, PrivateRedis, request};

pub const DEADLINE: Duration = Duration::from_secs(30);
pub const MEMPOOL_RISK: &str = "plugins/dist/mempool-risk.wasm";
pub const UNIFORM_RISK: &str = "plugins/dist/uniform-risk.wasm";
pub const MISBEHAVING: &str = "host/floodgate/tests/components/misbehaving.wasm";
pub const ALWAYS_FAILING: &str = "host/floodgate/tests/components/always-failing.wasm";

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What a Floodgate stands on.
pub enum Ground {
    Servers {
        redis: String,
        postgres: String,
    },
    /// The data directory of `floodgate dev`.
    Embedded(TempDir),
}

impl Ground {
    pub async fn servers() -> Self {
        Self::of(support::redis().await, support::postgres().await)
    }

    pub fn of(redis: String, postgres: String) -> Self {
        Self::Servers { redis, postgres }
    }

    pub async fn embedded() -> Self {
        Self::Embedded(tempfile::tempdir().unwrap())
    }
}

/// What processes of one deployment share.
pub struct Site {
    pub ground: Ground,
    pub oracles: TempDir,
    pub flows: TempDir,
}

impl Site {
    pub async fn new() -> Self {
        Self::on(Ground::servers().await)
    }

    /// With the flow `transactions` as it is shipped, and no oracle yet.
    pub fn on(ground: Ground) -> Self {
        Self::of_flows(ground, &["transactions"])
    }

    /// With these flows as they are shipped, and no oracle yet.
    pub fn of_flows(ground: Ground, names: &[&str]) -> Self {
        let site = Self {
            ground,
            oracles: tempfile::tempdir().unwrap(),
            flows: tempfile::tempdir().unwrap(),
        };
        names.iter().for_each(|name| site.ship(name));
        site
    }

    /// Adds a flow as it is shipped, with all that its file names.
    pub fn ship(&self, name: &str) {
        let (shipped, flows) = (repository().join("flows"), self.flows.path());
        let queries = std::fs::read_dir(shipped.join("stats")).unwrap();
        let queries = queries.map(|file| Path::new("stats").join(file.unwrap().file_name()));
        let own = [format!("{name}.toml"), format!("{name}.schema.json")];
        std::fs::create_dir_all(flows.join("stats")).unwrap();
        for file in queries.chain(own.map(PathBuf::from)) {
            std::fs::copy(shipped.join(&file), flows.join(file)).unwrap();
        }
    }

    pub fn redis(&self) -> &str {
        match &self.ground {
            Ground::Servers { redis, .. } => redis,
            Ground::Embedded(_) => panic!("there is no Redis"),
        }
    }

    pub fn postgres(&self) -> &str {
        match &self.ground {
            Ground::Servers { postgres, .. } => postgres,
            Ground::Embedded(_) => panic!("there is no Postgres"),
        }
    }

    /// What the ledger answers to SQL, as text; nothing while it is away or has
    /// no tables.
    pub async fn query(&self, sql: &str) -> Vec<Vec<String>> {
        match &self.ground {
            Ground::Servers { postgres, .. } => ask_postgres(postgres, sql).await,
            Ground::Embedded(dir) => ask_file(dir.path(), sql),
        }
    }

    pub async fn kept(&self) -> i64 {
        let counted = self.query("SELECT count(*) FROM decisions").await;
        counted.first().map_or(0, |row| row[0].parse().unwrap())
    }

    pub fn with_oracle(self, component: &str) -> Self {
        self.drop(component);
        self
    }

    /// Changes the flow file before the start.
    pub fn with_flow(self, from: &str, to: &str) -> Self {
        let path = self.flows.path().join("transactions.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "the flow file says {from:?}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        self
    }

    /// Entries die after two attempts, without much ado.
    pub fn impatient(self) -> Self {
        self.with_flow("attempts = 5", "attempts = 2")
            .with_flow("first = \"1s\"", "first = \"10ms\"")
    }

    /// Drops a component in the place of `mempool-risk`, whole at once.
    pub fn drop(&self, component: &str) {
        self.drop_as("mempool-risk", component);
    }

    pub fn drop_as(&self, name: &str, component: &str) {
        let aside = self.oracles.path().join(".dropped");
        std::fs::copy(repository().join(component), &aside).unwrap();
        let path = self.oracles.path().join(format!("{name}.wasm"));
        std::fs::rename(aside, path).unwrap();
    }

    /// Has the schema of `transactions` show these examples, and no others.
    pub fn examples(&self, examples: &[Value]) {
        let path = self.flows.path().join("transactions.schema.json");
        let mut schema: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        schema["examples"] = json!(examples);
        std::fs::write(&path, schema.to_string()).unwrap();
    }

    /// The text of a flow file, changed.
    pub fn rewrite_flow(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.flows.path().join(format!("{name}.toml"));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, change(text)).unwrap();
    }

    pub fn serve(&self, role: &str) -> Floodgate {
        self.serve_with(role, &[])
    }

    pub fn serve_with(&self, role: &str, args: &[&str]) -> Floodgate {
        self.serve_in(role, args, &[])
    }

    /// A front end alone, with three transactions that no worker has read, and
    /// its admin address.
    pub async fn with_three_unread(&self) -> (Floodgate, String) {
        let mut api = self.serve("api");
        let url = format!("{}/transactions", api.url().await);
        for number in 1..=3 {
            post(&url, &told_to(number, "high")).await;
        }
        let admin = api.admin_url().await;
        (api, admin)
    }

    /// With these environment variables besides its own.
    pub fn serve_in(&self, role: &str, args: &[&str], more: &[(&str, &str)]) -> Floodgate {
        let (flows, oracles) = (self.flows.path(), self.oracles.path());
        let mut env = vec![
            ("FLOODGATE_FLOWS", flows.to_str().unwrap()),
            ("FLOODGATE_ORACLES", oracles.to_str().unwrap()),
        ];
        env.extend_from_slice(more);
        match &self.ground {
            Ground::Servers { redis, postgres } => {
                env.extend([("REDIS_URL", &**redis), ("DATABASE_URL", postgres)]);
                Floodgate::serve(&env, &[&["--role", role], args].concat())
            }
            Ground::Embedded(dir) => {
                assert_eq!(role, "all", "it is all in one process");
                env.push(("FLOODGATE_DATA_DIR", dir.path().to_str().unwrap()));
                Floodgate::start("dev", &env, args)
            }
        }
    }
}

/// A running Floodgate: front end and worker in one process.
pub struct Host {
    pub site: Site,
    pub floodgate: Floodgate,
    pub url: String,
    pub admin: String,
}

impl Host {
    pub async fn start(component: &str) -> Self {
        Self::start_with(Ground::servers().await, component).await
    }

    pub async fn start_with(ground: Ground, component: &str) -> Self {
        Self::start_on(Site::on(ground).with_oracle(component)).await
    }

    pub async fn start_on(site: Site) -> Self {
        Self::start_in(site, &[]).await
    }

    /// On a Redis of its own; it has kept one transaction.
    pub async fn on_private_redis() -> (Self, PrivateRedis) {
        let redis = PrivateRedis::start().await;
        let ground = Ground::of(redis.url(), support::postgres().await);
        (Self::that_kept_one(ground).await, redis)
    }

    /// On a Postgres of its own; it has kept one transaction.
    pub async fn on_private_postgres() -> (Self, PrivatePostgres) {
        let postgres = PrivatePostgres::start().await;
        let ground = Ground::of(support::redis().await, postgres.url());
        (Self::that_kept_one(ground).await, postgres)
    }

    async fn that_kept_one(ground: Ground) -> Self {
        let host = Self::start_with(ground, MEMPOOL_RISK).await;
        host.accepted(&drainer(1)).await;
        host.until_kept(1).await;
        host
    }

    /// With these environment variables besides its own.
    pub async fn start_in(site: Site, env: &[(&str, &str)]) -> Self {
        let mut floodgate = site.serve_in("all", &[], env);
        let url = format!("{}/transactions", floodgate.url().await);
        let admin = floodgate.admin_url().await;
        Self {
            site,
            floodgate,
            url,
            admin,
        }
    }

    pub fn drop(&self, component: &str) {
        self.site.drop(component);
    }

    pub async fn post(&self, body: &Value) -> (StatusCode, Value) {
        post(&self.url, body).await
    }

    /// Posts it until it is accepted.
    pub async fn accepted(&self, body: &Value) {
        support::eventually(DEADLINE, "it is accepted", async || {
            self.post(body).await.0 == StatusCode::ACCEPTED
        })
        .await;
    }

    /// `GET` of the admin API.
    pub async fn get(&self, path: &str) -> Value {
        get(&self.admin, path).await
    }

    /// Runs `floodgate <arguments>` against this one; its standard output.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = self.try_cli(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn try_cli(&self, arguments: &[&str]) -> Output {
        std::process::Command::new(env!("CARGO_BIN_EXE_floodgate"))
            .args(arguments)
            .env("FLOODGATE_ADMIN", &self.admin)
            .output()
            .unwrap()
    }

    /// Decisions in the ledger; 0 while it is away.
    pub async fn kept(&self) -> i64 {
        self.site.kept().await
    }

    pub async fn until_kept(&self, count: i64) {
        let what = format!("{count} are kept");
        support::eventually(DEADLINE, &what, async || self.kept().await == count).await;
    }

    /// What the worker says that it runs.
    pub async fn digest(&self) -> String {
        support::eventually_some(DEADLINE, "a digest is reported", async || {
            let oracles = self.get("/oracles").await;
            oracles[0]["digest"].as_str().map(str::to_owned)
        })
        .await
    }

    pub async fn until_digest_is_not(&self, before: &str) {
        support::eventually(DEADLINE, "another digest is reported", async || {
            self.digest().await != before
        })
        .await;
    }

    /// Waits until the flow is held; why.
    pub async fn until_held(&self, flow: &str) -> String {
        let what = format!("{flow} is held");
        support::eventually_some(DEADLINE, &what, async || {
            let flows = self.get("/flows").await;
            let mut flows = flows.as_array().unwrap().iter();
            let found = flows.find(|found| found["name"] == flow && found["state"] == "held")?;
            found["reason"].as_str().map(str::to_owned)
        })
        .await
    }

    /// Waits until everything that was accepted is decided or dead.
    pub async fn settled(&self) {
        support::eventually(DEADLINE, "nothing is open any more", async || {
            self.get("/flows").await[0]["open"] == json!(0)
        })
        .await;
    }
}

pub async fn post(url: &str, body: &Value) -> (StatusCode, Value) {
    let headers = [("content-type", "application/json")];
    let (status, _, answer) = request("POST", url, &headers, body.to_string()).await;
    (status, serde_json::from_slice(&answer).unwrap_or_default())
}

pub async fn get(admin: &str, path: &str) -> Value {
    let url = format!("{admin}{path}");
    let (_, _, answer) = request("GET", &url, &[], String::new()).await;
    serde_json::from_slice(&answer).unwrap()
}

/// One that `mempool-risk` finds harmless, with something for `misbehaving` to do.
pub fn told_to(number: u64, what: &str) -> Value {
    let mut body = transaction(number, "0x", 30);
    body["do"] = json!(what);
    body
}

pub fn transaction(number: u64, input: &str, gas: u64) -> Value {
    json!({
        "tx_hash": format!("0x{number:064x}"),
        "from_address": "0x52908400098527886e0f7030069857d2e4169ee7",
        "to_address": "0x8617e340b3d01fa5f11f306f4090fd50e238070d",
        "value_eth": 1.0, "gas_price_gwei": gas, "input_data": input,
        "timestamp": 1_766_700_000,
    })
}

/// One that `mempool-risk` finds HIGH: an unlimited approval at a high price.
pub fn drainer(number: u64) -> Value {
    let spender = format!("{:0>64}", "8617e340b3d01fa5f11f306f4090fd50e238070d");
    let input = format!("0x095ea7b3{spender}{}", "f".repeat(64));
    transaction(number, &input, 500)
}
