//! Whether a component fits `wit/oracle.wit`, import by import and export by
//! export, before anything of it runs.

use std::fmt;

use wasmtime::Engine;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};

use super::wasi;
use super::words::cut;

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

/// Bytes of a name and of a type that are shown; the largest type of ours has 300.
const NAME: usize = 128;
const TYPE: usize = 1 << 10;
/// Imports that are shown, and names of exports where `judge` is none of them.
const IMPORTS: usize = 64;
const EXPORTS: usize = 8;

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

/// The imports of a component, then the exports that matter. A component can
/// import as much as it likes: those that do not fit come first then, and
/// [`IMPORTS`] are told.
pub(super) fn compare(component: &wasmtime::component::Component, engine: &Engine) -> Vec<Part> {
    let ty = component.component_type();
    let imports = || {
        ty.imports(engine)
            .flat_map(|(name, import)| import_parts(engine, name, &import.ty))
    };
    let mut parts: Vec<Part> = imports().take(IMPORTS).collect();
    if parts.len() == IMPORTS {
        let misfits = imports().filter(|part| part.misfit.is_some());
        let misfits: Vec<Part> = misfits.take(IMPORTS).collect();
        if !misfits.is_empty() {
            parts = misfits;
        }
    }
    let judge = ty.get_export(engine, "judge");
    parts.push(judge_part(
        judge.as_ref().map(|export| &export.ty),
        ty.exports(engine).map(|(name, _)| name),
    ));
    parts
}

/// Whether a component imports `wasi:random`, in any version.
pub(super) fn imports_random(component: &wasmtime::component::Component, engine: &Engine) -> bool {
    let ty = component.component_type();
    ty.imports(engine)
        .any(|(name, _)| name.starts_with("wasi:random/"))
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
        name: cut(format!("{interface}#{function}"), NAME),
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
        name: cut(name, NAME),
        misfit: Some(Misfit {
            expected: expected.to_owned(),
            found: cut(name, NAME),
            remedy: remedy.to_owned(),
        }),
    }
}

fn judge_part<'a>(judge: Option<&ComponentItem>, exports: impl Iterator<Item = &'a str>) -> Part {
    let found = match judge {
        Some(ComponentItem::ComponentFunc(func)) => signature(func),
        Some(_) => "something that is no function".to_owned(),
        None => {
            let mut exports = exports.map(|name| cut(name, NAME));
            let names: Vec<String> = exports.by_ref().take(EXPORTS).collect();
            match (names.as_slice(), exports.count()) {
                ([], _) => "no exports".to_owned(),
                (names, 0) => format!("only {}", names.join(", ")),
                (names, more) => format!("only {} and {more} more", names.join(", ")),
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
        name: cut(name, NAME),
        misfit: None,
    }
}

/// A function's type as WIT would write it, with records spelled out: their
/// names are not part of it.
fn signature(func: &ComponentFunc) -> String {
    let mut text = Text::default();
    text.add(if func.async_() {
        "async func("
    } else {
        "func("
    });
    text.list(func.params(), |text, (name, ty)| text.member(name, &ty));
    text.add(")");
    for result in func.results() {
        text.add(" -> ");
        text.ty(&result);
    }
    text.0
}

/// A type as it is written down. A few bytes of a component can describe a
/// type that no memory holds when it is spelled out: it ends with [`TYPE`].
#[derive(Default)]
struct Text(String);

impl Text {
    fn is_full(&self) -> bool {
        self.0.len() >= TYPE
    }

    fn add(&mut self, text: &str) {
        if !self.is_full() {
            let room = TYPE - self.0.len();
            self.0.push_str(&cut(text, room));
            if text.len() > room {
                self.0.push_str("...");
            }
        }
    }

    fn list<T>(&mut self, items: impl Iterator<Item = T>, each: impl Fn(&mut Self, T)) {
        for (at, item) in items.enumerate() {
            if self.is_full() {
                return;
            }
            if at > 0 {
                self.add(", ");
            }
            each(self, item);
        }
    }

    fn member(&mut self, name: &str, ty: &Type) {
        self.add(name);
        self.add(": ");
        self.ty(ty);
    }

    fn of(&mut self, constructor: &str, ty: &Type) {
        self.add(constructor);
        self.add("<");
        self.ty(ty);
        self.add(">");
    }

    fn ty(&mut self, ty: &Type) {
        if self.is_full() {
            return;
        }
        match ty {
            Type::Bool => self.add("bool"),
            Type::S8 => self.add("s8"),
            Type::U8 => self.add("u8"),
            Type::S16 => self.add("s16"),
            Type::U16 => self.add("u16"),
            Type::S32 => self.add("s32"),
            Type::U32 => self.add("u32"),
            Type::S64 => self.add("s64"),
            Type::U64 => self.add("u64"),
            Type::Float32 => self.add("f32"),
            Type::Float64 => self.add("f64"),
            Type::Char => self.add("char"),
            Type::String => self.add("string"),
            Type::List(list) => self.of("list", &list.ty()),
            Type::Option(option) => self.of("option", &option.ty()),
            Type::Tuple(tuple) => {
                self.add("tuple<");
                self.list(tuple.types(), |text, ty| text.ty(&ty));
                self.add(">");
            }
            Type::Record(record) => {
                self.add("record { ");
                self.list(record.fields(), |text, field| {
                    text.member(field.name, &field.ty);
                });
                self.add(" }");
            }
            Type::Result(result) => {
                self.add("result<");
                self.list(
                    [result.ok(), result.err()].into_iter(),
                    |text, side| match side {
                        Some(ty) => text.ty(&ty),
                        None => text.add("_"),
                    },
                );
                self.add(">");
            }
            // None of these is in the contract, so their kind tells enough.
            Type::Map(_) => self.add("map"),
            Type::Variant(_) => self.add("variant"),
            Type::Enum(_) => self.add("enum"),
            Type::Flags(_) => self.add("flags"),
            Type::Own(_) => self.add("own"),
            Type::Borrow(_) => self.add("borrow"),
            Type::Future(_) => self.add("future"),
            Type::Stream(_) => self.add("stream"),
            Type::ErrorContext => self.add("error-context"),
            #[allow(unreachable_patterns, reason = "a newer wasmtime may have more")]
            _ => self.add("another type"),
        }
    }
}
