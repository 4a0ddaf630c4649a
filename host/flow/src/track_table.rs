//! `[track]` and `[[health]]` as written, and what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use super::admit_table::{is_path, template};
use super::file::{Found, Section};
use super::load::Claim;
use super::{HealthPage, Keep, Place, State, States, Template, Track, TrackPath, bounds};

const PATH: &str =
    "write a path with one segment {id}, such as \"/transactions/{id}\", or a path and id_query";
const PLAIN_PATH: &str =
    "write a path such as \"/health\" or \"/\": without another slash at its end, query or spaces";
const REPLY: &str = "say what is answered: reply = { id = \"{id}\", status = \"{state}\" }";
const WORD: &str = "write a word that is not empty";

/// `None` where there is none, or where something that has no default is
/// missing or wrong.
pub(super) fn track(root: &mut Section, keep: Keep, claim: Claim) -> Option<Track> {
    let mut table = root.optional("track")?.section()?;
    let path = path(&mut table, claim);
    let keep_for = table.duration("keep", bounds::KEPT);
    let states = states(table.section("states"));
    let unknown = word(&mut table, "unknown");
    let open = open(&mut table);
    let place = Place::Track {
        body: keep == Keep::Always,
    };
    let reply = reply(&mut table, place);
    table.finish();
    Some(Track {
        path: path?,
        keep: keep_for.unwrap_or(Duration::from_secs(24 * 3600)),
        states,
        unknown: unknown.unwrap_or_else(|| "no entry with this id is known".into()),
        open,
        reply: reply?,
    })
}

fn path(table: &mut Section, claim: Claim) -> Option<TrackPath> {
    let parameter = table.optional("id_query");
    let found = table.required("path", PATH)?;
    let text: String = found.read(PATH)?;
    let segments = text.split('/').filter(|segment| *segment == "{id}").count();
    let rest = text.replacen("/{id}", "/id", 1);
    let sound = match parameter {
        Some(_) => segments == 0 && is_path(&text),
        None => segments == 1 && is_path(&rest),
    };
    if !sound {
        found.report(format_args!("{text:?} is not possible here"), PATH);
        return None;
    }
    claim("GET", &text, &found);
    let path: Arc<str> = text.into();
    match parameter {
        None => Some(TrackPath::Segment(path)),
        Some(parameter) => Some(TrackPath::Query {
            path,
            parameter: parameter
                .check(WORD, |text: &String| !text.is_empty())?
                .into(),
        }),
    }
}

fn states(mut table: Section) -> States {
    let default = States::default();
    let mut state =
        |key, state| word(&mut table, key).unwrap_or_else(|| default.name(state).into());
    let states = States {
        pending: state("pending", State::Pending),
        processing: state("processing", State::Processing),
        completed: state("completed", State::Completed),
        failed: state("failed", State::Failed),
    };
    table.finish();
    states
}

fn word(table: &mut Section, key: &'static str) -> Option<Arc<str>> {
    let found = table.optional(key)?;
    let word = found.check(WORD, |text: &String| !text.is_empty())?;
    Some(word.into())
}

fn open(table: &mut Section) -> bool {
    let found = table.optional("open");
    let open = found.and_then(|found| found.read("write true or false"));
    open.unwrap_or(false)
}

fn reply(table: &mut Section, place: Place) -> Option<Template> {
    template(&table.required("reply", REPLY)?, place)
}

pub(super) fn health_pages(root: &mut Section, claim: Claim) -> Vec<HealthPage> {
    let written = root.optional("health").map(Found::sections);
    let pages = written.into_iter().flatten();
    pages.filter_map(|page| health_page(page, claim)).collect()
}

fn health_page(mut table: Section, claim: Claim) -> Option<HealthPage> {
    let path = table.required("path", PLAIN_PATH).and_then(|found| {
        let path = found.check(PLAIN_PATH, |path: &String| is_path(path) || path == "/")?;
        claim("GET", &path, &found);
        Some(path)
    });
    let open = open(&mut table);
    let reply = reply(&mut table, Place::Health);
    table.finish();
    Some(HealthPage {
        path: path?.into(),
        open,
        reply: reply?,
    })
}
