//! Control entries that a person names: the schema's `examples`, and the lines
//! of the file that `controls` names. A trial tells a broken oracle from a bad
//! entry by them.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::file::Found;
use super::{Admit, Admitted, Digest, Entry};

/// Controls that a flow may name, and as many examples of its schema.
pub const MAX_CONTROLS: usize = 100;
/// Bytes of a file of controls.
const MAX_FILE: u64 = 1 << 20;
const CONTROLS: &str =
    "name a file beside this one with a body on each line, such as \"controls.ndjson\"";

/// The control entries of a flow file and of its schema.
#[derive(Clone, Debug, Default)]
pub struct OperatorControls {
    /// Their ids are of the body, or their place; nothing says when they were
    /// received.
    pub entries: Arc<[Entry]>,
    /// SHA-256 of the file that `controls` names.
    pub digest: Option<Digest>,
}

/// Reads the file and takes the examples. An example that the schema itself
/// does not allow shows something else, and is left out.
pub(super) fn read(
    written: Option<&Found>,
    admit: Option<&Admit>,
    dir: Option<&Path>,
) -> OperatorControls {
    let (Some(admit), Some(dir)) = (admit, dir) else {
        return OperatorControls::default();
    };
    let examples = admit.schema.source()["examples"].as_array();
    let examples = examples.into_iter().flatten().take(MAX_CONTROLS);
    let examples = examples.filter_map(|body| admit.admit(Bytes::from(body.to_string())).ok());
    let mut admitted: Vec<Admitted> = examples.collect();
    let text = written.and_then(|found| text(found, dir));
    if let (Some(found), Some(text)) = (written, &text) {
        admitted.extend(of_lines(found, text, admit));
    }
    let entries = admitted.into_iter().enumerate();
    let entries = entries.map(|(at, Admitted { id, body, .. })| Entry {
        id: id.unwrap_or_else(|| format!("control-{}", at + 1).into()),
        body,
        received_at: 0,
        attributes: Arc::default(),
    });
    OperatorControls {
        entries: entries.collect(),
        digest: text.map(|text| Digest::of(&text)),
    }
}

fn text(found: &Found, dir: &Path) -> Option<Vec<u8>> {
    let name: String = found.read(CONTROLS)?;
    let mut text = Vec::new();
    let file = File::open(dir.join(&name));
    let read = file.and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut text));
    if let Err(error) = read {
        found.report(format_args!("read {name:?}: {error}"), CONTROLS);
        return None;
    }
    if text.len() as u64 > MAX_FILE {
        let what = format!("{name:?} has more than {MAX_FILE} bytes");
        found.report(what, "keep those that tell most");
        return None;
    }
    Some(text)
}

fn of_lines(found: &Found, text: &[u8], admit: &Admit) -> Vec<Admitted> {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.enumerate().filter(|(_, line)| !line.is_empty());
    let mut admitted = Vec::new();
    for (at, line) in lines {
        if admitted.len() == MAX_CONTROLS {
            let what = format!("more than {MAX_CONTROLS} controls");
            found.report(what, "keep those that tell most");
            break;
        }
        match admit.admit(Bytes::copy_from_slice(line)) {
            Ok(entry) => admitted.push(entry),
            Err(error) => {
                let what = format!("line {} is no entry of this flow: {error}", at + 1);
                found.report(what, "correct the line, or the schema");
                break;
            }
        }
    }
    admitted
}
