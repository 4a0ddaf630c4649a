//! `[[query]]` as written, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::Duration;

use super::admit_table::{is_path, template};
use super::file::{Found, Section};
use super::load::Claim;
use super::parameter::{Parameter, ParameterKind};
use super::parameter_table;
use super::resolve::is_name;
use super::sql::parameters_of;
use super::{Absent, Digest, Name, Place, Query, Statement, Statements, Template, bounds};

const PATH: &str =
    "write a path such as \"/stats/daily\": without a slash at its end, query or spaces";
const SQL: &str =
    "name a file of SQL beside this one, or in a directory beside it, such as \"stats/daily.sql\"";
const CHOICE: &str =
    "write {name} of one parameter of type choice that is required or has a default";

/// What a flow file names that is only worked off has no files beside it, and
/// answers nothing.
pub(super) fn read(root: &mut Section, dir: Option<&Path>, claim: Claim) -> Vec<Arc<Query>> {
    let written = root.optional("query").map(Found::sections);
    let Some(dir) = dir else {
        return Vec::new();
    };
    let queries = written.into_iter().flatten();
    let queries = queries.filter_map(|table| query(table, dir, claim));
    queries.map(Arc::new).collect()
}

fn query(mut table: Section, dir: &Path, claim: Claim) -> Option<Query> {
    let path = table.required("path", PATH).and_then(|found| {
        let path = found.check(PATH, |path: &String| is_path(path))?;
        claim("GET", &path, &found);
        Some(path)
    });
    let parameters = parameter_table::read(table.section("parameters"));
    let statements = table
        .required("sql", SQL)
        .and_then(|found| statements(&found, dir, parameters.as_deref()));
    let cache = table.duration("cache", bounds::CACHE);
    let timeout = table.duration("timeout", bounds::QUERY_TIMEOUT);
    let reply = match (table.optional("reply"), &parameters) {
        (None, _) => Some(Template::rows()),
        (Some(found), Some(parameters)) => reply(&found, parameters),
        (Some(_), None) => None,
    };
    table.finish();
    let (statements, digest) = statements?;
    Some(Query {
        path: path?.into(),
        statements,
        parameters: parameters?,
        reply: reply?,
        cache,
        timeout: timeout.unwrap_or(Duration::from_secs(10)),
        digest,
    })
}

fn reply(found: &Found, parameters: &[Parameter]) -> Option<Template> {
    let names: Vec<Arc<str>> = parameters.iter().map(|known| known.name.clone()).collect();
    let place = Place::Query { parameters: &names };
    let reply = template(found, place)?;
    if !reply.mentions(Name::Rows) {
        found.report("it does not say what was found", "write {rows} in it");
    }
    Some(reply)
}

/// And the digest of their files. Where the parameters are wrong, only what
/// has nothing to do with them is told.
fn statements(
    found: &Found,
    dir: &Path,
    parameters: Option<&[Parameter]>,
) -> Option<(Statements, Digest)> {
    let name: String = found.read(SQL)?;
    let mut texts = String::new();
    let mut read = |name: &str| {
        let text = text_of(found, dir, name)?;
        texts.push_str(&text);
        texts.push('\0');
        statement(found, name, text, parameters)
    };
    let statements = match name.split_once('{') {
        None => Statements::One(read(&name)?),
        Some((before, rest)) => {
            let (chooser, after) = rest.split_once('}').unwrap_or((rest, ""));
            let Some((parameter, choices)) = choices(chooser, parameters?) else {
                found.report(format_args!("{name:?} is not possible here"), CHOICE);
                return None;
            };
            let each = choices.iter().map(|choice| {
                let read = read(&format!("{before}{choice}{after}"));
                read.map(|statement| (Arc::clone(choice), statement))
            });
            // All are read, so that all that is wrong is told.
            let of: Vec<Option<_>> = each.collect();
            Statements::Each {
                parameter,
                of: of.into_iter().collect::<Option<BTreeMap<_, _>>>()?,
            }
        }
    };
    must_use(found, &statements, parameters?);
    Some((statements, Digest::of(texts.as_bytes())))
}

fn choices<'p>(name: &str, parameters: &'p [Parameter]) -> Option<(Arc<str>, &'p [Arc<str>])> {
    let parameter = parameters.iter().find(|known| *known.name == *name)?;
    match &parameter.kind {
        ParameterKind::Choice { of }
            if parameter.absent != Absent::Null && of.iter().all(|choice| is_name(choice)) =>
        {
            Some((Arc::clone(&parameter.name), of))
        }
        _ => None,
    }
}

fn text_of(found: &Found, dir: &Path, name: &str) -> Option<String> {
    let path = Path::new(name);
    let mut parts = path.components();
    let beside = parts.all(|part| matches!(part, Component::Normal(_)));
    if !beside || path.components().count() > 2 || !name.ends_with(".sql") {
        found.report(format_args!("{name:?} is not possible here"), SQL);
        return None;
    }
    let text = std::fs::read_to_string(dir.join(path));
    text.map_err(|error| found.report(format_args!("read {name:?}: {error}"), SQL))
        .ok()
}

fn statement(
    found: &Found,
    name: &str,
    text: String,
    parameters: Option<&[Parameter]>,
) -> Option<Statement> {
    let used = parameters_of(&text).map_err(|error| {
        let remedy = "write one SELECT, with parameters such as $from";
        found.report(format_args!("{name:?}: {error}"), remedy);
    });
    let used = used.ok()?;
    let declared = parameters?.iter().flat_map(Parameter::binds);
    let declared: BTreeSet<String> = declared.collect();
    for unknown in used.difference(&declared) {
        let what = format!("{name:?}: ${unknown} is no parameter of this query");
        found.report(what, "declare it in [query.parameters]");
    }
    Some(Statement {
        sql: text.into(),
        parameters: used,
    })
}

/// A parameter that changes nothing is a mistake of whoever wrote the SQL.
fn must_use(found: &Found, statements: &Statements, parameters: &[Parameter]) {
    let uses = |name: &String| {
        let mut all = statements.all();
        all.any(|statement| statement.parameters.contains(name))
    };
    for parameter in parameters {
        if statements.chooser() == Some(&parameter.name) {
            continue;
        }
        for unused in parameter.binds().iter().filter(|name| !uses(name)) {
            let what = format!("its SQL has no ${unused}");
            let remedy = format!(
                "use it, or remove {} from [query.parameters]",
                parameter.name
            );
            found.report(what, remedy);
        }
    }
}
