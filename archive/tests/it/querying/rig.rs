//! A ledger with entries of a flow, and an engine over it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use floodgate_archive::cold::Store;
use floodgate_archive::flows;
use floodgate_archive::ledger::{Embedded, Ledger, Postgres};
use floodgate_archive::moving::Mover;
use floodgate_archive::query::{Answer, Engine, Error, Limits, Question};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_postgres::SimpleQueryMessage;

use crate::support;

/// What a statement gave: cells as text, whoever answered it.
pub type Cells = Vec<Vec<String>>;

pub struct Rig {
    pub dir: TempDir,
    pub ledger: Arc<dyn Ledger>,
    pub store: Store,
    pub engine: Engine,
    /// The flow files.
    pub flows: PathBuf,
    plain: Plain,
}

/// The ledger without the archive in between.
enum Plain {
    Postgres(tokio_postgres::Client),
    Embedded(PathBuf),
}

impl Rig {
    pub async fn postgres() -> Self {
        let url = support::database().await;
        let plain = Plain::Postgres(support::connect(&url).await.unwrap());
        Self::new(
            plain,
            Some(Arc::new(Postgres::connect(url.parse().unwrap()).unwrap())),
            limits(),
        )
    }

    pub fn embedded() -> Self {
        Self::with_limits(limits())
    }

    pub fn with_limits(limits: Limits) -> Self {
        Self::new(Plain::Embedded(PathBuf::new()), None, limits)
    }

    fn new(mut plain: Plain, ledger: Option<Arc<dyn Ledger>>, limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = ledger.unwrap_or_else(|| {
            let file = dir.path().join("floodgate.db");
            let db = rusqlite::Connection::open(&file).unwrap();
            db.pragma_update(None, "journal_mode", "wal").unwrap();
            for migration in support::migrations("embedded") {
                db.execute_batch(&migration).unwrap();
            }
            plain = Plain::Embedded(file);
            Arc::new(Embedded::new(dir.path()))
        });
        let store = Store::open(dir.path().join("cold").to_str().unwrap(), []).unwrap();
        let flows = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flows");
        let engine = Engine::new(ledger.clone(), store.clone(), flows.clone(), &limits).unwrap();
        Self {
            dir,
            ledger,
            store,
            engine,
            flows,
            plain,
        }
    }

    /// The same ledger and files, and a flow file of its own.
    pub fn with_flow(mut self, name: &str, text: &str) -> Self {
        self.flows = self.dir.path().join("flows");
        std::fs::create_dir_all(&self.flows).unwrap();
        std::fs::write(self.flows.join(format!("{name}.toml")), text).unwrap();
        let (ledger, store) = (self.ledger.clone(), self.store.clone());
        self.engine = Engine::new(ledger, store, self.flows.clone(), &limits()).unwrap();
        self
    }

    pub fn mover(&self) -> Mover {
        Mover::new(self.ledger.clone(), self.store.clone())
    }

    /// Moves everything that is a week older than `now`.
    pub async fn archive(&self, now: &str) {
        let report = self
            .mover()
            .run(&self.load(), now.parse().unwrap())
            .await
            .unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
    }

    pub fn load(&self) -> Vec<flows::Flow> {
        flows::load(&self.flows).unwrap().flows
    }

    pub async fn keep(&self, flow: &str, entries: &[Entry]) {
        for entry in entries {
            self.run(&self.insert(flow, entry)).await;
        }
    }

    fn insert(&self, flow: &str, entry: &Entry) -> String {
        let at: Timestamp = entry.at.parse().unwrap();
        let (time, hash) = match self.plain {
            Plain::Postgres(_) => (
                format!("'{at}'"),
                "'\\x00112233445566778899aabbccddeeff'::bytea",
            ),
            Plain::Embedded(_) => (
                at.as_millisecond().to_string(),
                "x'00112233445566778899aabbccddeeff'",
            ),
        };
        let reasons = match self.plain {
            Plain::Postgres(_) => "'{one,two}'",
            Plain::Embedded(_) => "'[\"one\",\"two\"]'",
        };
        format!(
            "INSERT INTO decisions (flow, id, body, body_hash, score, label, label_name, reasons, \
             oracles, flow_digest, threshold, inference_us, stream_id, received_at, decided_at, at) \
             VALUES ('{flow}', '{}', '{}', {hash}, 0.9, 'high', 'HIGH', {reasons}, '[]', 'f', 0.8, \
             1.5, '1-0', {time}, {time}, {time})",
            entry.id,
            entry.body.to_string().replace('\'', "''"),
        )
    }

    /// Changes the ledger behind the archive's back.
    pub async fn run(&self, sql: &str) {
        self.ask_plainly(sql).await;
    }

    /// The ledger's own answer.
    pub async fn ask_plainly(&self, sql: &str) -> Cells {
        match &self.plain {
            Plain::Postgres(client) => {
                let mut cells = Cells::new();
                for message in client.simple_query(sql).await.unwrap() {
                    if let SimpleQueryMessage::Row(row) = message {
                        let row = (0..row.len()).map(|at| row.get(at).unwrap_or("null").to_owned());
                        cells.push(row.collect());
                    }
                }
                cells
            }
            Plain::Embedded(file) => {
                let db = rusqlite::Connection::open(file).unwrap();
                db.busy_timeout(Duration::from_secs(5)).unwrap();
                let mut statement = db.prepare(sql).unwrap();
                let count = statement.column_count();
                let mut rows = statement.query([]).unwrap();
                let mut cells = Cells::new();
                while let Some(row) = rows.next().unwrap() {
                    let cell = |at| match row.get::<_, rusqlite::types::Value>(at).unwrap() {
                        rusqlite::types::Value::Null => "null".to_owned(),
                        rusqlite::types::Value::Integer(number) => number.to_string(),
                        rusqlite::types::Value::Real(number) => number.to_string(),
                        rusqlite::types::Value::Text(text) => text,
                        rusqlite::types::Value::Blob(_) => "blob".to_owned(),
                    };
                    cells.push((0..count).map(cell).collect());
                }
                cells
            }
        }
    }

    /// The UTC day of an entry, in the ledger's own SQL.
    pub fn day(&self) -> &'static str {
        match self.plain {
            Plain::Postgres(_) => "(at AT TIME ZONE 'UTC')::date",
            Plain::Embedded(_) => "date(at / 1000.0, 'unixepoch')",
        }
    }

    /// Days since another one, in the ledger's own SQL.
    pub fn days_since(&self, start: &str) -> String {
        match self.plain {
            Plain::Postgres(_) => format!("({} - '{start}'::date)", self.day()),
            Plain::Embedded(_) => {
                format!(
                    "CAST(julianday({}) - julianday('{start}') AS INTEGER)",
                    self.day()
                )
            }
        }
    }

    /// A member of the body, in the ledger's own SQL.
    pub fn field(&self, path: &str) -> String {
        match (&self.plain, path.split_once('.')) {
            (Plain::Postgres(_), None) => format!("body ->> '{path}'"),
            (Plain::Postgres(_), Some((outer, inner))) => {
                format!("body -> '{outer}' ->> '{inner}'")
            }
            (Plain::Embedded(_), _) => format!("body ->> '$.{path}'"),
        }
    }

    pub async fn ask(
        &self,
        flow: &str,
        sql: &str,
        parameters: Value,
    ) -> Result<Arc<Answer>, Error> {
        let question = question(flow, sql, parameters);
        self.engine.answer(question).await.map(|(answer, _)| answer)
    }

    /// What a statement without parameters gives.
    pub async fn cells(&self, flow: &str, sql: &str) -> Cells {
        cells(&self.ask(flow, sql, json!({})).await.unwrap())
    }
}

pub fn question(flow: &str, sql: &str, parameters: Value) -> Question {
    Question {
        flow: flow.to_owned(),
        sql: sql.to_owned(),
        parameters: serde_json::from_value(parameters).unwrap(),
        timeout: Duration::from_secs(60),
        cache: Duration::ZERO,
        explain: false,
    }
}

pub fn limits() -> Limits {
    Limits {
        memory: 256 << 20,
        spill: std::env::temp_dir(),
        spill_most: 64 << 20,
        cores: 2,
        at_once: 4,
    }
}

pub fn cells(answer: &Answer) -> Cells {
    let rows: Vec<Vec<Value>> = serde_json::from_str(answer.rows.get()).unwrap();
    let text = |cell: &Value| match cell {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    rows.iter()
        .map(|row| row.iter().map(text).collect())
        .collect()
}

pub struct Entry {
    pub id: String,
    pub at: String,
    pub body: Value,
}

/// Six days of events: some users come back, some events have none, and of each
/// day one is at its very beginning and one at its very end.
pub fn events() -> Vec<Entry> {
    let types = ["login", "purchase", "view"];
    let countries = ["UA", "DE", "PL"];
    let mut events = Vec::new();
    for day in 1..=6_usize {
        for n in 0..60_usize {
            let time = match n {
                0 => "00:00:00".to_owned(),
                1 => "23:59:59.999".to_owned(),
                n => format!("{:02}:{:02}:07.5", n % 24, n),
            };
            // Users of a day come from a window that moves by three a day.
            let user = (n * (6 + day) + n / 7) % 17 + day * 2;
            let user = if n % 13 == 5 {
                Value::Null
            } else {
                json!(format!("u{user}"))
            };
            events.push(Entry {
                id: format!("e-{day}-{n}"),
                at: format!("2026-01-0{day}T{time}Z"),
                body: json!({
                    "event_id": format!("e-{day}-{n}"),
                    "user_id": user,
                    "event_type": types[(n * n + day) % 3],
                    "properties": {"country": countries[n % 3], "it's": n},
                }),
            });
        }
    }
    events
}
