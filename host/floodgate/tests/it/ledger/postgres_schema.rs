//! In which schema the tables lie, beside whatever is in the database.

use floodgate_ledger::{Error, Ledger, Migrated, Postgres, SCHEMA};
use floodgate_prove::servers::look_into;
use tokio_postgres::Client;

use super::{by, decided, ids};
use crate::support;

/// Of the services that Floodgate replaces.
const OLD_SERVICES: &str = "CREATE TABLE transactions (id serial, tx_hash text);
    CREATE TABLE events (event_id uuid PRIMARY KEY);
    CREATE TABLE tasks (id serial PRIMARY KEY, payload text);
    INSERT INTO tasks (payload) VALUES ('of before')";

/// As an older Floodgate did it.
const OLDER: &str = "SET search_path = public";

struct Site {
    url: String,
    client: Client,
}

impl Site {
    async fn new() -> Self {
        let url = support::postgres().await;
        let client = look_into(&url).await.unwrap();
        Self { url, client }
    }

    /// With the tables of an older Floodgate, in `public`, and a decision.
    async fn older() -> Self {
        let site = Self::new().await;
        let ledger = site.ledger().in_schema("public");
        ledger.migrate().await.unwrap();
        ledger
            .keep(&by("tasks"), &[decided(1, "7", r#"{"payload":"kept"}"#)])
            .await
            .unwrap();
        site.client.batch_execute(OLDER).await.unwrap();
        site
    }

    fn ledger(&self) -> Postgres {
        Postgres::connect(self.url.parse().unwrap(), 2).unwrap()
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.client.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Tables, views and functions of a schema that are not an extension's.
    async fn in_schema(&self, schema: &str) -> Vec<String> {
        self.texts(&format!(
            "SELECT relname::text FROM pg_class WHERE relnamespace = '{schema}'::regnamespace
             UNION ALL
             SELECT proname::text FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace
             ORDER BY 1"
        ))
        .await
    }
}

fn in_a_schema_of_its_own(migrated: &Migrated) {
    assert_eq!(migrated.schema.as_deref(), Some(SCHEMA));
    assert!(!migrated.applied.is_empty());
}

async fn works(ledger: &Postgres) {
    ledger.ping().await.unwrap();
    let kept = ledger
        .keep(&by("tasks"), &[decided(2, "8", r#"{"payload":"new"}"#)])
        .await
        .unwrap();
    assert_eq!(ids(&kept.stored), ["8"]);
}

#[tokio::test]
async fn a_new_installation_has_a_schema_of_its_own_and_its_views_in_public() {
    let site = Site::new().await;
    let ledger = site.ledger();
    let migrated = ledger.migrate().await.unwrap();
    in_a_schema_of_its_own(&migrated);
    assert_eq!(migrated.views_elsewhere, Vec::<String>::new());
    works(&ledger).await;
    assert_eq!(
        site.in_schema("public").await,
        ["events", "tasks", "transactions"]
    );
    // Without a schema, as the old scripts ask.
    site.client.batch_execute(OLDER).await.unwrap();
    let payloads = site.texts("SELECT payload FROM tasks WHERE id = 8").await;
    assert_eq!(payloads, ["new"]);
    let again = ledger.migrate().await.unwrap();
    assert_eq!((again.applied.len(), again.views_elsewhere.len()), (0, 0));
}

#[tokio::test]
async fn beside_the_tables_of_the_old_services_it_works_and_touches_none() {
    let site = Site::new().await;
    site.client
        .batch_execute(&format!("{OLDER}; {OLD_SERVICES}"))
        .await
        .unwrap();
    let ledger = site.ledger();
    let migrated = ledger.migrate().await.unwrap();
    in_a_schema_of_its_own(&migrated);
    assert_eq!(
        migrated.views_elsewhere,
        ["transactions", "events", "tasks"]
    );
    works(&ledger).await;
    assert_eq!(site.texts("SELECT payload FROM tasks").await, ["of before"]);
    assert_eq!(
        site.texts("SELECT payload FROM floodgate.tasks").await,
        ["new"]
    );
    // Once the old table has gone, the view takes its place.
    site.client
        .batch_execute("ALTER TABLE tasks RENAME TO tasks_of_before")
        .await
        .unwrap();
    let migrated = ledger.migrate().await.unwrap();
    assert_eq!(migrated.views_elsewhere, ["transactions", "events"]);
    assert_eq!(site.texts("SELECT payload FROM tasks").await, ["new"]);
}

#[tokio::test]
async fn what_an_older_version_left_half_made_beside_them_is_not_taken_for_a_ledger() {
    const V1: &str =
        include_str!("../../../../../migrations/postgres/V1__decisions_and_dead_letters.sql");
    let site = Site::new().await;
    site.client
        .batch_execute(&format!("{OLDER}; {OLD_SERVICES}; {V1}"))
        .await
        .unwrap();
    let ledger = site.ledger();
    in_a_schema_of_its_own(&ledger.migrate().await.unwrap());
    works(&ledger).await;
}

#[tokio::test]
async fn an_older_installation_is_used_where_it_lies() {
    let site = Site::older().await;
    let ledger = site.ledger();
    let migrated = ledger.migrate().await.unwrap();
    assert_eq!(migrated.schema.as_deref(), Some("public"));
    assert_eq!(migrated.applied, Vec::<String>::new());
    works(&ledger).await;
    let payloads = site.texts("SELECT payload FROM tasks ORDER BY id").await;
    assert_eq!(payloads, ["kept", "new"]);
    assert_eq!(
        site.texts("SELECT nspname::text FROM pg_namespace WHERE nspname = 'floodgate'")
            .await
            .len(),
        0
    );
}

#[tokio::test]
async fn an_older_installation_can_be_moved_while_nobody_is_at_work() {
    let site = Site::older().await;
    let before = site.in_schema("public").await;
    let at_work = site.ledger();
    at_work.ping().await.unwrap();
    let refused = site.ledger().move_schema().await.unwrap_err();
    assert!(matches!(refused, Error::Other(_)), "{refused:?}");
    assert_eq!(site.in_schema("public").await, before, "nothing was moved");
    drop(at_work);

    let ledger = site.ledger();
    let gone = "SELECT pid::text FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'floodgate'";
    support::eventually(std::time::Duration::from_secs(10), "it left", async || {
        site.texts(gone).await.is_empty()
    })
    .await;
    let moved = ledger.move_schema().await.unwrap();
    assert_eq!(moved.schema.as_deref(), Some(SCHEMA));
    works(&ledger).await;
    assert_eq!(
        site.in_schema("public").await,
        ["events", "tasks", "transactions"]
    );
    assert_eq!(site.in_schema("floodgate").await, before);
    let payloads = site.texts("SELECT payload FROM tasks ORDER BY id").await;
    assert_eq!(payloads, ["kept", "new"], "through the views in public");
    let again = ledger.move_schema().await.unwrap();
    assert_eq!(again.applied, Vec::<String>::new());
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind_and_the_ledger_asks_for_a_person() {
    let site = Site::new().await;
    site.client
        .batch_execute("CREATE SCHEMA floodgate; CREATE TABLE floodgate.audit (mine int)")
        .await
        .unwrap();
    let ledger = site.ledger();
    let error = ledger.migrate().await.unwrap_err();
    assert!(
        matches!(&error, Error::Other(text) if text.contains("V9")),
        "{error:?}"
    );
    assert_eq!(site.in_schema("floodgate").await, ["audit"]);
    let error = ledger.ping().await.unwrap_err();
    assert!(error.needs_a_person(), "{error:?}");
    site.client
        .batch_execute("DROP TABLE floodgate.audit")
        .await
        .unwrap();
    in_a_schema_of_its_own(&ledger.migrate().await.unwrap());
    ledger.ping().await.unwrap();
}

#[tokio::test]
async fn tables_that_are_not_those_of_this_version_ask_for_a_person() {
    let site = Site::new().await;
    let ledger = site.ledger();
    ledger.migrate().await.unwrap();
    let (newer, older) = (
        "INSERT INTO floodgate.refinery_schema_history VALUES (9999, 'newer', '', '1')",
        "DELETE FROM floodgate.refinery_schema_history WHERE version = 12",
    );
    site.client.batch_execute(newer).await.unwrap();
    ledger.ping().await.unwrap();
    assert_eq!(
        ledger.migrate().await.unwrap().applied,
        Vec::<String>::new()
    );
    site.client.batch_execute(older).await.unwrap();
    assert!(ledger.ping().await.unwrap_err().needs_a_person());
}

#[tokio::test]
async fn a_role_that_may_make_no_schema_is_told_what_to_ask_for() {
    let site = Site::new().await;
    let role = format!(
        "{}_role",
        site.texts("SELECT current_database()::text").await[0]
    );
    let make = format!("CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    site.client.batch_execute(&make).await.unwrap();
    let url = site.url.replace("postgres@", &format!("{role}@"));
    let ledger = Postgres::connect(url.parse().unwrap(), 1).unwrap();
    let error = ledger.migrate().await.unwrap_err().to_string();
    assert!(error.contains("CREATE SCHEMA floodgate"), "{error}");
    let grant = format!("CREATE SCHEMA floodgate AUTHORIZATION {role}");
    site.client.batch_execute(&grant).await.unwrap();
    let migrated = ledger.migrate().await.unwrap();
    in_a_schema_of_its_own(&migrated);
    assert_eq!(
        migrated.views_elsewhere.len(),
        3,
        "it may make none in public"
    );
    works(&ledger).await;
}
