//! Offers the views in `public`, too, where the clients of the services that
//! Floodgate replaces ask for them without a schema.

use tokio_postgres::Client;

use super::call::with;
use crate::Error;

const NAMES: [&str; 3] = ["transactions", "events", "tasks"];

/// By which a view in `public` is known as one of Floodgate's.
const MARK: &str = "Floodgate: the view of the same name in its own schema";

/// What stands in public under a name: nothing, ours, or somebody else's.
const THERE: &str = "
    SELECT obj_description(pg_class.oid, 'pg_class') = $2
    FROM pg_class JOIN pg_namespace ON relnamespace = pg_namespace.oid
    WHERE nspname = 'public' AND relname = $1";

const MAY: &str = "SELECT coalesce(
    (SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = 'public'), false)";

/// Returns the names that stand in `schema` alone: somebody else has them in
/// `public`, or the role may make nothing there.
pub(super) async fn offer(client: &mut Client, schema: &str) -> Result<Vec<String>, Error> {
    if schema == "public" {
        return Ok(Vec::new());
    }
    let transaction = client.transaction().await?;
    let may = transaction.query_typed(MAY, &[]).await?;
    let may: bool = may.first().map_or(Ok(false), |row| row.try_get(0))?;
    let mut elsewhere = Vec::new();
    for name in NAMES {
        let there = transaction
            .query_typed(THERE, with![name => NAME, MARK => TEXT])
            .await?;
        let ours = match there.first() {
            Some(row) => row.try_get::<_, Option<bool>>(0)?.unwrap_or(false),
            None if may => {
                let view = format!(
                    "CREATE VIEW public.{name} AS SELECT * FROM \"{schema}\".{name}; \
                     COMMENT ON VIEW public.{name} IS '{MARK}'"
                );
                transaction.batch_execute(&view).await?;
                true
            }
            None => false,
        };
        if !ours {
            elsewhere.push(name.to_owned());
        }
    }
    transaction.commit().await?;
    Ok(elsewhere)
}
