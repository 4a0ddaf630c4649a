//! Whether a component fits `wit/oracle.wit`, import by import and export by
//! export, before anything of it runs.

use std::fmt;

use wasmtime::Engine;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};

use super::wasi;

const SETTINGS: &str = "floodgate:oracle/settings@0.1.0";
const LOG: &str = "floodgate:oracle/log@0.1.0";
const TYPES: &str = "floodgate:oracle/types@0.1.0";
const INTERFACES: [&str; 3] = [SETTINGS, LOG, TYPES];

const SETTINGS_GET: &str = "func(key: string) -> option<string>";
const LOG_WRITE: &str = "func(level: string, message: string)";
const JUDGE: &str = "func(batch: list<record { id: string, body: string, received-at: u64, \
     attributes: list<tuple<string, string>> }>) -> list<result<record { score: f64, \
     reasons: list<string>, output: option<string>, \
     attributes: list<tuple<string, string>> }, string>>";

/// One import or export, and whether it fits.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Part {
    pub direction: Direction,
    pub name: String,
    pub misfit: Option<Misfit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Import,
    Export,
}

/// Why a part does not fit, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Misfit {
    pub expected: String,
    pub found: String,
    pub remedy: String,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Import => "import",
            Self::Export => "export",
        })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.direction, self.name)?;
        match &self.misfit {
            None => f.write_str("ok"),
            Some(Misfit {
                expected,
                found,
                remedy,
            }) => write!(f, "expected {expected}, found {found}; {remedy}"),
        }
    }
}

/// All imports of a component, then the exports that matter.
pub(super) fn compare(component: &wasmtime::component::Component, engine: &Engine) -> Vec<Part> {
    let ty = component.component_type();
    let mut parts: Vec<Part> = ty
        .imports(engine)
        .flat_map(|(name, import)| import_parts(engine, name, &import.ty))
        .collect();
    let judge = ty.get_export(engine, "judge");
    parts.push(judge_part(
        judge.as_ref().map(|export| &export.ty),
        ty.exports(engine).map(|(name, _)| name),
    ));
    parts
}

fn import_parts(engine: &Engine, name: &str, item: &ComponentItem) -> Vec<Part> {
    let ComponentItem::ComponentInstance(instance) = item else {
        return vec![unknown_import(name)];
    };
    let functions = match interface(name) {
        Some(Interface::Wasi) => return vec![fits(Direction::Import, name)],
        Some(Interface::Ours(functions)) => functions,
        None => return vec![unknown_import(name)],
    };
    let misfits: Vec<Part> = instance
        .exports(engine)
        .filter_map(|(function, export)| match &export.ty {
            ComponentItem::ComponentFunc(found) => {
                function_misfit(name, function, &signature(found), functions)
            }
            _ => None,
        })
        .collect();
    if misfits.is_empty() {
        vec![fits(Direction::Import, name)]
    } else {
        misfits
    }
}

/// Name and signature of each function.
type Functions = &'static [(&'static str, &'static str)];

enum Interface {
    Ours(Functions),
    Wasi,
}

fn interface(name: &str) -> Option<Interface> {
    match name {
        SETTINGS => Some(Interface::Ours(&[("get", SETTINGS_GET)])),
        LOG => Some(Interface::Ours(&[("write", LOG_WRITE)])),
        TYPES => Some(Interface::Ours(&[])),
        _ => {
            let (unversioned, version) = name.split_once('@')?;
            (wasi::GIVEN.contains(&unversioned) && version.starts_with("0.2."))
                .then_some(Interface::Wasi)
        }
    }
}

fn function_misfit(
    interface: &str,
    function: &str,
    found: &str,
    expected: Functions,
) -> Option<Part> {
    let expected = expected.iter().find(|(name, _)| *name == function);
    if expected.is_some_and(|(_, signature)| *signature == found) {
        return None;
    }
    Some(Part {
        direction: Direction::Import,
        name: format!("{interface}#{function}"),
        misfit: Some(Misfit {
            expected: expected
                .map_or("no such function", |(_, signature)| signature)
                .to_owned(),
            found: found.to_owned(),
            remedy: REBUILD.to_owned(),
        }),
    })
}

const REBUILD: &str = "rebuild the oracle against wit/oracle.wit of this host";

fn unknown_import(name: &str) -> Part {
    let unversioned = name.split('@').next().unwrap_or(name);
    let other_version = INTERFACES
        .into_iter()
        .find(|ours| ours.split('@').next() == Some(unversioned));
    let (expected, remedy) = match other_version {
        Some(ours) => (ours, REBUILD),
        None if wasi::GIVEN.contains(&unversioned) => {
            ("a 0.2 version of it", "rebuild the oracle for WASI 0.2")
        }
        None if unversioned.starts_with("wasi:sockets/")
            || unversioned.starts_with("wasi:http/") =>
        {
            (
                "no such import, an oracle has no network",
                "take the network out, or build with stubbed WASI (--stub-wasi)",
            )
        }
        None => (
            "no such import, an oracle gets floodgate:oracle/settings and /log and a part of WASI 0.2",
            "take out what needs it",
        ),
    };
    Part {
        direction: Direction::Import,
        name: name.to_owned(),
        misfit: Some(Misfit {
            expected: expected.to_owned(),
            found: name.to_owned(),
            remedy: remedy.to_owned(),
        }),
    }
}

fn judge_part<'a>(judge: Option<&ComponentItem>, exports: impl Iterator<Item = &'a str>) -> Part {
    let found = match judge {
        Some(ComponentItem::ComponentFunc(func)) => signature(func),
        Some(_) => "something that is no function".to_owned(),
        None => {
            let names: Vec<&str> = exports.collect();
            match names.as_slice() {
                [] => "no exports".to_owned(),
                names => format!("only {}", names.join(", ")),
            }
        }
    };
    if found == JUDGE {
        return fits(Direction::Export, "judge");
    }
    Part {
        direction: Direction::Export,
        name: "judge".to_owned(),
        misfit: Some(Misfit {
            expected: JUDGE.to_owned(),
            found,
            remedy: REBUILD.to_owned(),
        }),
    }
}

fn fits(direction: Direction, name: &str) -> Part {
    Part {
        direction,
        name: name.to_owned(),
        misfit: None,
    }
}

/// A function's type as WIT would write it, with records spelled out: their
/// names are not part of it.
fn signature(func: &ComponentFunc) -> String {
    let params: Vec<String> = func
        .params()
        .map(|(name, ty)| format!("{name}: {}", written(&ty)))
        .collect();
    let kind = if func.async_() { "async func" } else { "func" };
    let mut text = format!("{kind}({})", params.join(", "));
    for result in func.results() {
        text.push_str(" -> ");
        text.push_str(&written(&result));
    }
    text
}

fn written(ty: &Type) -> String {
    let joined = |types: Vec<String>| types.join(", ");
    match ty {
        Type::Bool => "bool".to_owned(),
        Type::S8 => "s8".to_owned(),
        Type::U8 => "u8".to_owned(),
        Type::S16 => "s16".to_owned(),
        Type::U16 => "u16".to_owned(),
        Type::S32 => "s32".to_owned(),
        Type::U32 => "u32".to_owned(),
        Type::S64 => "s64".to_owned(),
        Type::U64 => "u64".to_owned(),
        Type::Float32 => "f32".to_owned(),
        Type::Float64 => "f64".to_owned(),
        Type::Char => "char".to_owned(),
        Type::String => "string".to_owned(),
        Type::List(list) => format!("list<{}>", written(&list.ty())),
        Type::Option(option) => format!("option<{}>", written(&option.ty())),
        Type::Tuple(tuple) => {
            let types = tuple.types().map(|ty| written(&ty)).collect();
            format!("tuple<{}>", joined(types))
        }
        Type::Record(record) => {
            let fields = record
                .fields()
                .map(|field| format!("{}: {}", field.name, written(&field.ty)))
                .collect();
            format!("record {{ {} }}", joined(fields))
        }
        Type::Result(result) => {
            let side = |ty: Option<Type>| ty.map_or("_".to_owned(), |ty| written(&ty));
            format!("result<{}, {}>", side(result.ok()), side(result.err()))
        }
        // None of these is in the contract, so their kind tells enough.
        other => format!("{other:?}")
            .split(['(', ' '])
            .next()
            .unwrap_or_default()
            .to_lowercase(),
    }
}
