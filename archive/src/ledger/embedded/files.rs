//! What lies in the cold tier, and moving rows there.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::cold::{ColdFile, Draft, Sealed, State};
use crate::ledger::{Error, Gone, Known, id_hash, stale};

const COLUMNS: &str = "number, flow, day, path, state, replaces, rows, bytes, first_at, last_at";

pub(super) fn all(db: &Connection, flow: Option<&str>) -> Result<Vec<ColdFile>, Error> {
    let all = format!(
        "SELECT {COLUMNS} FROM cold_files WHERE ?1 IS NULL OR flow = ?1
         ORDER BY flow, day, number"
    );
    let mut all = db.prepare(&all)?;
    let files = all.query_and_then([flow], file)?;
    files.collect()
}

pub(super) fn counting(db: &Connection, flow: &str) -> Result<Vec<ColdFile>, Error> {
    let counting = format!(
        "SELECT {COLUMNS} FROM cold_files WHERE flow = ?1 AND state IN ('moving', 'cold')
         ORDER BY day, number"
    );
    let mut counting = db.prepare(&counting)?;
    let files = counting.query_and_then([flow], file)?;
    files.collect()
}

fn file(row: &Row<'_>) -> Result<ColdFile, Error> {
    let strange = |what: String| Error::Other(format!("a row of cold_files: {what}"));
    let rows: Option<i64> = row.get("rows")?;
    let time = |name| -> Result<Timestamp, Error> {
        let at = Timestamp::from_millisecond(row.get(name)?);
        at.map_err(|error| strange(error.to_string()))
    };
    let sealed = rows.map(|rows| -> Result<Sealed, Error> {
        Ok(Sealed {
            rows: rows.unsigned_abs(),
            bytes: row.get::<_, i64>("bytes")?.unsigned_abs(),
            first_at: time("first_at")?,
            last_at: time("last_at")?,
        })
    });
    let state: String = row.get("state")?;
    let day: String = row.get("day")?;
    Ok(ColdFile {
        number: row.get("number")?,
        flow: row.get("flow")?,
        day: day
            .parse()
            .map_err(|error: jiff::Error| strange(error.to_string()))?,
        path: row.get("path")?,
        state: State::parse(&state).ok_or_else(|| strange(state))?,
        replaces: row.get("replaces")?,
        sealed: sealed.transpose()?,
    })
}

/// AUTOINCREMENT counts on from a row that is gone again.
pub(super) fn number(db: &Connection) -> Result<i64, Error> {
    let insert = "INSERT INTO cold_files (flow, day, path, created_at) VALUES ('', '', '', 0)";
    db.execute(insert, ())?;
    let number = db.last_insert_rowid();
    db.execute("DELETE FROM cold_files WHERE number = ?1", [number])?;
    Ok(number)
}

pub(super) fn begin(db: &Connection, draft: &Draft) -> Result<ColdFile, Error> {
    let file = draft.begun();
    let columns = serde_json::to_string(&draft.columns);
    let columns = columns.map_err(|error| Error::Other(error.to_string()))?;
    let insert = "INSERT INTO cold_files (number, flow, day, path, columns, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let now = Timestamp::now().as_millisecond();
    let day = file.day.to_string();
    db.execute(
        insert,
        params![file.number, file.flow, day, file.path, columns, now],
    )?;
    Ok(file)
}

pub(super) fn seal(
    db: &Connection,
    file: &ColdFile,
    sealed: &Sealed,
    replaces: &[i64],
) -> Result<(), Error> {
    let seal = "UPDATE cold_files
         SET state = 'moving', rows = ?2, bytes = ?3, first_at = ?4, last_at = ?5,
             sealed_at = ?6, replaces = ?7
         WHERE number = ?1 AND state = 'writing'";
    let sealed = db.execute(
        seal,
        params![
            file.number,
            sealed.rows.cast_signed(),
            sealed.bytes.cast_signed(),
            sealed.first_at.as_millisecond(),
            sealed.last_at.as_millisecond(),
            Timestamp::now().as_millisecond(),
            !replaces.is_empty(),
        ],
    )?;
    stale(file, sealed == 1)?;
    for number in replaces {
        let replace = "UPDATE cold_files SET state = 'replaced'
             WHERE number = ?1 AND state = 'cold'";
        stale(file, db.execute(replace, [number])? == 1)?;
    }
    Ok(())
}

/// Also of rows that another file had before.
pub(super) fn remember(db: &Connection, file: &ColdFile, known: &[Known]) -> Result<(), Error> {
    let remember = "INSERT INTO moved (flow, id_hash, body_hash, file) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (flow, id_hash) DO UPDATE SET file = excluded.file";
    let mut remember = db.prepare_cached(remember)?;
    for Known { id_hash, body_hash } in known {
        remember.execute(params![file.flow, id_hash, body_hash, file.number])?;
    }
    Ok(())
}

/// All of it or nothing.
pub(super) fn remove(db: &Connection, file: &ColdFile, rows: &[Gone]) -> Result<u64, Error> {
    // By the id, too: a ledger that was put back gives numbers again.
    let delete = "DELETE FROM decisions WHERE seq = ?1 AND flow = ?2 AND id = ?3";
    let mut delete = db.prepare_cached(delete)?;
    let undeliver = "DELETE FROM deliveries WHERE flow = ?1 AND id = ?2";
    let mut undeliver = db.prepare_cached(undeliver)?;
    let mut removed = 0;
    for row in rows {
        if row.delivered {
            undeliver.execute((&file.flow, &row.id))?;
        }
        removed += delete.execute((row.seq, &file.flow, &row.id))?;
    }
    Ok(removed as u64)
}

pub(super) fn settle(db: &Connection, file: &ColdFile) -> Result<(), Error> {
    let settle = "UPDATE cold_files SET state = 'cold' WHERE number = ?1 AND state = 'moving'";
    stale(file, db.execute(settle, [file.number])? == 1)
}

/// The columns of a sealed file have to be there in any state but `writing`.
pub(super) fn discard(db: &Connection, file: &ColdFile) -> Result<(), Error> {
    let discard = "UPDATE cold_files
         SET state = 'replaced', rows = 0, bytes = 0, first_at = created_at,
             last_at = created_at, sealed_at = created_at
         WHERE number = ?1 AND state = 'writing'";
    stale(file, db.execute(discard, [file.number])? == 1)
}

pub(super) fn forget(db: &Connection, file: &ColdFile) -> Result<(), Error> {
    let forget = "DELETE FROM cold_files
         WHERE number = ?1 AND state = ?2 AND state IN ('writing', 'replaced')";
    let forgotten = db.execute(forget, params![file.number, file.state.as_str()])?;
    stale(file, forgotten == 1)
}

pub(super) fn moved(db: &Connection, flow: &str, id: &str) -> Result<Option<i64>, Error> {
    let moved = "SELECT file FROM moved WHERE flow = ?1 AND id_hash = ?2";
    let file = db.query_one(moved, params![flow, id_hash(id)], |row| row.get(0));
    Ok(file.optional()?)
}
