//! The flow files of a directory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::file::{File, Found};
use super::resolve::{is_name, resolve};
use super::{Digest, Flow, FlowName, Problem};

/// Takes note of an HTTP path of a flow and the method it is for, or reports
/// that it is taken.
pub(super) type Claim<'c> = &'c dyn Fn(&'static str, &str, &Found);

impl Flow {
    /// Reads every `*.toml` of a directory, in the order of their names.
    ///
    /// # Errors
    /// All problems of all files; then no flow is to be used.
    pub fn load_dir(dir: impl AsRef<Path>) -> Result<Vec<Self>, Vec<Problem>> {
        let dir = dir.as_ref();
        let problem = |what: String, remedy| vec![Problem::of_file(dir, what, remedy)];
        let paths = flow_files(dir).map_err(|error| {
            let what = format!("read flow directory: {error}");
            problem(what, "name a directory that can be read")
        })?;
        if paths.is_empty() {
            let what = "no flow file (*.toml) in it".to_owned();
            return Err(problem(what, "put one there, or name another directory"));
        }
        let mut loader = Loader::default();
        paths.iter().for_each(|path| loader.load(path));
        if loader.problems.is_empty() {
            Ok(loader.flows)
        } else {
            Err(loader.problems)
        }
    }

    /// A flow as it was accepted once, to work off what is open of it: nothing
    /// is admitted by it, so it comes without its schema.
    ///
    /// # Errors
    /// Where this version does not understand it.
    pub fn of_source(name: &str, source: &str) -> Result<Self, Vec<Problem>> {
        let digest = Digest::of(source.as_bytes());
        let file = File::new(format!("{name}.toml"), source.to_owned());
        let flow = resolve(&file, FlowName::new(name), digest, None, &|_, _, _| {});
        let problems = file.problems();
        match flow {
            Some(flow) if problems.is_empty() => Ok(flow),
            _ => Err(problems),
        }
    }
}

/// What the front end answers whatever its flows are.
fn is_of_every_front_end(path: &str) -> bool {
    ["/healthz", "/readyz", "/openapi.json", "/docs"].contains(&path) || path.starts_with("/docs/")
}

fn flow_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for file in fs::read_dir(dir)? {
        let path = file?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[derive(Default)]
struct Loader {
    flows: Vec<Flow>,
    problems: Vec<Problem>,
    /// HTTP path -> where it was claimed first, and for which methods.
    claims: RefCell<HashMap<String, Claimed>>,
}

struct Claimed {
    file: String,
    line: usize,
    methods: Vec<&'static str>,
}

impl Loader {
    fn load(&mut self, path: &Path) {
        let mut problem = |what: String, remedy| {
            self.problems.push(Problem::of_file(path, what, remedy));
        };
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let Some(name) = stem.filter(|stem| is_name(stem)) else {
            let what = "its name is not one of a flow".to_owned();
            return problem(what, "use a to z, 0 to 9, - and _");
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let what = format!("read flow file: {error}");
                return problem(what, "make it a text file that can be read");
            }
        };
        let digest = Digest::of(text.as_bytes());
        let file = File::new(path.display().to_string(), text);
        let dir = path.parent().unwrap_or(Path::new("."));
        let claim = |method, path: &str, found: &Found| {
            self.claim(file.name(), method, path, found);
        };
        let flow = resolve(&file, FlowName::new(name), digest, Some(dir), &claim);
        let problems = file.problems();
        if problems.is_empty() {
            self.flows.extend(flow);
        }
        self.problems.extend(problems);
    }

    /// A path is one flow's, which may use it once for each method.
    fn claim(&self, file: &str, method: &'static str, path: &str, found: &Found) {
        if is_of_every_front_end(path) {
            let what = format!("{path:?} is a path of Floodgate's own");
            return found.report(what, "give the flow another path");
        }
        let mut claims = self.claims.borrow_mut();
        let first = claims.entry(path.to_owned()).or_insert_with(|| Claimed {
            file: file.to_owned(),
            line: found.line(),
            methods: Vec::new(),
        });
        let place = format!("{}:{}", first.file, first.line);
        if first.file != file {
            let what = format!("{path:?} is the path of another flow ({place})");
            found.report(what, "give one of them another path");
        } else if first.methods.contains(&method) {
            let what = format!("{method} {path:?} is used twice ({place})");
            found.report(what, "give one of them another path");
        } else {
            first.methods.push(method);
        }
    }
}
