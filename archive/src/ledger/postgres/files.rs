//! What lies in the cold tier, and moving rows there.

use deadpool_postgres::{Client, ClientWrapper, Transaction};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Json;

use crate::cold::{ColdFile, Draft, Sealed, State};
use crate::ledger::{Error, Gone, Known, id_hash, stale};

/// Held shared by whoever keeps a decision of the flow: whether an id is new is
/// seen in two tables.
const LOCK: &str = "SELECT pg_advisory_xact_lock($1, hashtext($2))";
const KEEPING: i32 = 0x666c_6f6f;

/// Whoever keeps a decision does not take long.
const WAIT: &str = "SET LOCAL lock_timeout = '30s'";

/// Without waiting for the disk: the commit that settles the file waits for all
/// that came before, and so does any other.
const LAZILY: &str = "SET LOCAL synchronous_commit = off";

/// Row by row through the index, whatever is thought of the size of a table
/// that loses a million rows at a time.
const BY_INDEX: &str = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";

const OR_UPDATE: &str = "ON CONFLICT (flow, id_hash) DO UPDATE SET file = EXCLUDED.file
    WHERE moved.file <> EXCLUDED.file";

const COLUMNS: &str = "number, flow, day, path, state, replaces, rows, bytes, first_at, last_at";

pub(super) async fn all(client: &Client, flow: Option<&str>) -> Result<Vec<ColdFile>, Error> {
    let all = format!(
        "SELECT {COLUMNS} FROM cold_files WHERE $1::text IS NULL OR flow = $1
         ORDER BY flow, day, number"
    );
    let all = client.prepare_cached(&all).await?;
    let rows = client.query(&all, &[&flow]).await?;
    rows.iter().map(file).collect()
}

pub(super) async fn counting(client: &Client, flow: &str) -> Result<Vec<ColdFile>, Error> {
    let counting = format!(
        "SELECT {COLUMNS} FROM cold_files WHERE flow = $1 AND state IN ('moving', 'cold')
         ORDER BY day, number"
    );
    let counting = client.prepare_cached(&counting).await?;
    let rows = client.query(&counting, &[&flow]).await?;
    rows.iter().map(file).collect()
}

fn file(row: &Row) -> Result<ColdFile, Error> {
    let rows: Option<i64> = row.try_get("rows")?;
    let sealed = rows.map(|rows| -> Result<Sealed, Error> {
        Ok(Sealed {
            rows: rows.unsigned_abs(),
            bytes: row.try_get::<_, i64>("bytes")?.unsigned_abs(),
            first_at: row.try_get("first_at")?,
            last_at: row.try_get("last_at")?,
        })
    });
    let state: &str = row.try_get("state")?;
    Ok(ColdFile {
        number: row.try_get("number")?,
        flow: row.try_get("flow")?,
        day: row.try_get("day")?,
        path: row.try_get("path")?,
        state: State::parse(state).ok_or_else(|| Error::Other(format!("a file is {state}")))?,
        replaces: row.try_get("replaces")?,
        sealed: sealed.transpose()?,
    })
}

pub(super) async fn number(client: &Client) -> Result<i64, Error> {
    let next = "SELECT nextval(pg_get_serial_sequence('cold_files', 'number'))";
    let next = client.prepare_cached(next).await?;
    Ok(client.query_one(&next, &[]).await?.try_get(0)?)
}

/// Under the lock: who is at it now may be keeping or erasing what is read next.
pub(super) async fn begin(client: &mut ClientWrapper, draft: &Draft) -> Result<ColdFile, Error> {
    let file = draft.begun();
    let transaction = locked(client, &file.flow).await?;
    let insert = "INSERT INTO cold_files (number, flow, day, path, columns)
         VALUES ($1, $2, $3, $4, $5)";
    let columns = Json(&draft.columns);
    transaction
        .execute(
            insert,
            &[&file.number, &file.flow, &file.day, &file.path, &columns],
        )
        .await?;
    transaction.commit().await?;
    Ok(file)
}

async fn locked<'a>(client: &'a mut ClientWrapper, flow: &str) -> Result<Transaction<'a>, Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(WAIT).await?;
    let lock = transaction.prepare_cached(LOCK).await?;
    transaction.execute(&lock, &[&KEEPING, &flow]).await?;
    Ok(transaction)
}

pub(super) async fn seal(
    client: &mut ClientWrapper,
    file: &ColdFile,
    sealed: &Sealed,
    replaces: &[i64],
) -> Result<(), Error> {
    let Sealed {
        rows,
        bytes,
        first_at,
        last_at,
    } = sealed;
    let (rows, bytes) = (rows.cast_signed(), bytes.cast_signed());
    let transaction = client.transaction().await?;
    let seal = "UPDATE cold_files
         SET state = 'moving', rows = $2, bytes = $3, first_at = $4, last_at = $5,
             replaces = $6, sealed_at = now()
         WHERE number = $1 AND state = 'writing'";
    let others = !replaces.is_empty();
    let sealed = transaction
        .execute(
            seal,
            &[&file.number, &rows, &bytes, first_at, last_at, &others],
        )
        .await?;
    stale(file, sealed == 1)?;
    let replace = "UPDATE cold_files SET state = 'replaced'
         WHERE number = ANY ($1) AND state = 'cold'";
    let replaced = transaction.execute(replace, &[&replaces]).await?;
    stale(file, replaced == replaces.len() as u64)?;
    Ok(transaction.commit().await?)
}

/// All of it or nothing. Under the lock: a decision that is being kept may have
/// looked for its id before it was noted.
pub(super) async fn remove(
    client: &mut Client,
    file: &ColdFile,
    rows: &[Gone],
) -> Result<u64, Error> {
    let transaction = locked(client, &file.flow).await?;
    transaction.batch_execute(LAZILY).await?;
    transaction.batch_execute(BY_INDEX).await?;
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    let ids: Vec<&str> = rows.iter().map(|row| &*row.id).collect();
    // By the id, too: a ledger that was put back gives numbers again.
    let delete = "DELETE FROM decisions
         USING unnest($2::bigint[], $3::text[]) AS gone (seq, id)
         WHERE decisions.seq = gone.seq AND decisions.flow = $1 AND decisions.id = gone.id";
    let delete = transaction.prepare_cached(delete).await?;
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&file.flow, &seqs, &ids];
    let removed = transaction.execute(&delete, &params).await?;
    let delivered = rows.iter().filter(|row| row.delivered);
    let delivered: Vec<&str> = delivered.map(|row| &*row.id).collect();
    if !delivered.is_empty() {
        let delete = "DELETE FROM deliveries WHERE flow = $1 AND id = ANY ($2)";
        let delete = transaction.prepare_cached(delete).await?;
        transaction
            .execute(&delete, &[&file.flow, &delivered])
            .await?;
    }
    transaction.commit().await?;
    Ok(removed)
}

/// Also of rows that another file had before. Nobody is kept waiting: that an
/// id is known twice, here and by its decision, says nothing new.
pub(super) async fn remember(
    client: &mut ClientWrapper,
    file: &ColdFile,
    known: &[Known],
) -> Result<(), Error> {
    // Nearly always all of them are new, and to insert takes a third of the
    // time that it takes to look first.
    match note(client, file, known, "").await {
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            Ok(note(client, file, known, OR_UPDATE).await?)
        }
        noted => Ok(noted?),
    }
}

async fn note(
    client: &mut ClientWrapper,
    file: &ColdFile,
    known: &[Known],
    on_conflict: &str,
) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(LAZILY).await?;
    let ids: Vec<&[u8]> = known.iter().map(|known| &known.id_hash[..]).collect();
    let bodies: Vec<&[u8]> = known.iter().map(|known| &known.body_hash[..]).collect();
    let insert = format!(
        "INSERT INTO moved (flow, id_hash, body_hash, file)
         SELECT $1, id_hash, body_hash, $4
         FROM unnest($2::bytea[], $3::bytea[]) AS known (id_hash, body_hash) {on_conflict}"
    );
    let insert = transaction.prepare_cached(&insert).await?;
    transaction
        .execute(&insert, &[&file.flow, &ids, &bodies, &file.number])
        .await?;
    transaction.commit().await
}

pub(super) async fn settle(client: &Client, file: &ColdFile) -> Result<(), Error> {
    let settle = "UPDATE cold_files SET state = 'cold' WHERE number = $1 AND state = 'moving'";
    let settled = client.execute(settle, &[&file.number]).await?;
    stale(file, settled == 1)
}

/// Planned for the empty table that it was, a look for an id reads all of it.
pub(super) async fn analyze(client: &Client) -> Result<(), Error> {
    Ok(client.batch_execute("ANALYZE moved").await?)
}

/// Postgres does so by itself, minutes later: until then a query over the ledger
/// reads every row that was removed.
pub(super) async fn vacuum(client: &Client) -> Result<(), Error> {
    Ok(client.batch_execute("VACUUM decisions").await?)
}

/// The columns of a sealed file have to be there in any state but `writing`.
pub(super) async fn discard(client: &Client, file: &ColdFile) -> Result<(), Error> {
    let discard = "UPDATE cold_files
         SET state = 'replaced', rows = 0, bytes = 0, first_at = created_at,
             last_at = created_at, sealed_at = created_at
         WHERE number = $1 AND state = 'writing'";
    let discarded = client.execute(discard, &[&file.number]).await?;
    stale(file, discarded == 1)
}

pub(super) async fn forget(client: &Client, file: &ColdFile) -> Result<(), Error> {
    let forget = "DELETE FROM cold_files
         WHERE number = $1 AND state = $2 AND state IN ('writing', 'replaced')";
    let forgotten = client
        .execute(forget, &[&file.number, &file.state.as_str()])
        .await?;
    stale(file, forgotten == 1)
}

pub(super) async fn moved(client: &Client, flow: &str, id: &str) -> Result<Option<i64>, Error> {
    let moved = "SELECT file FROM moved WHERE flow = $1 AND id_hash = $2";
    let moved = client.prepare_cached(moved).await?;
    let row = client
        .query_opt(&moved, &[&flow, &&id_hash(id)[..]])
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}
