use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use bytes::Bytes;

use super::archive::Statistics;
use crate::cli::client::segment;
use crate::cli::host::Started;
use crate::cli::serve::announce;
use crate::cli::table::short;
use floodgate_flow::Flow;
use floodgate_oracle_host::Registry;
use floodgate_process::harmless::words;
use floodgate_report::OracleStatus;

/// What a person who starts it wants to know.
pub(super) struct Welcome<'s> {
    pub dir: PathBuf,
    pub ephemeral: bool,
    /// The key that was made for flows that ask for one.
    pub key: Option<String>,
    pub statistics: &'s Statistics,
}

const STRONG: Style = Style::new().bold();
const MISSING: Style = AnsiColor::Yellow.on_default();

impl Welcome<'_> {
    /// On standard output, which whoever started this may have closed by now;
    /// in colours on a terminal only.
    pub fn tell(&self, started: &Started) {
        announce(started);
        let _gone = self.write(started, &mut anstream::stdout());
    }

    fn write(&self, started: &Started, out: &mut impl Write) -> io::Result<()> {
        let kept = match self.ephemeral {
            true => ", removed at the end",
            false => "",
        };
        writeln!(out, "data in {}{kept}\n", self.dir.display())?;
        let registry = started.oracles.as_deref();
        let oracles = registry.map(Registry::status).unwrap_or_default();
        for flow in started.flows.iter() {
            write_flow(flow, &oracles, out)?;
        }
        if started.flows.iter().any(|flow| flow.needs_archive()) {
            let style = match self.statistics {
                Statistics::Nobody => MISSING,
                _ => Style::new(),
            };
            let who = self.statistics;
            writeln!(out, "\n{STRONG}statistics{STRONG:#}: {style}{who}{style:#}")?;
        }
        let asks = |flow: &&std::sync::Arc<Flow>| flow.admit.keys;
        if let (Some(key), Some(flow)) = (&self.key, started.flows.iter().find(asks)) {
            writeln!(out, "\n{STRONG}key{STRONG:#} of {}: {key}", flow.name)?;
        }
        let example = started.flows.iter().rev().find_map(|flow| example(flow));
        match (started.front_end, example) {
            (Some(front_end), Some(example)) => example.write(front_end, started.admin, out),
            _ => Ok(()),
        }
    }
}

fn write_flow(flow: &Flow, oracles: &[OracleStatus], out: &mut impl Write) -> io::Result<()> {
    let paths = flow
        .paths()
        .map(|(method, path)| format!("{method} {path}"));
    let paths: Vec<String> = paths.collect();
    writeln!(
        out,
        "{STRONG}{:<14}{STRONG:#}{}",
        flow.name,
        paths.join(", ")
    )?;
    for usage in &flow.oracles {
        let name = &usage.component;
        let status = oracles.iter().find(|status| *status.name == **name);
        match status.map(|status| (status.digest, status.loading, &status.refused)) {
            Some((Some(digest), ..)) => {
                let digest = short(&digest.to_string(), 12);
                writeln!(out, "{:14}{name} {digest}", "")?;
            }
            Some((None, true, _)) => writeln!(
                out,
                "{:14}{MISSING}{name}.wasm is being compiled: the flow waits for it{MISSING:#}",
                ""
            )?,
            Some((None, false, Some(refused))) => writeln!(
                out,
                "{:14}{MISSING}{name} was not taken: {}{MISSING:#}",
                "",
                words(&refused.error)
            )?,
            _ => writeln!(
                out,
                "{:14}{MISSING}{name}.wasm is not there: the flow waits for it{MISSING:#}",
                ""
            )?,
        }
    }
    Ok(())
}

/// An entry to try a flow with.
struct Example<'f> {
    flow: &'f Flow,
    id: String,
    body: String,
}

/// Of flows that need no key and find the id in the body.
fn example(flow: &Flow) -> Option<Example<'_>> {
    let body = flow.admit.schema.example()?.to_string();
    let admitted = flow.admit.admit(Bytes::from(body.clone())).ok()?;
    let id = admitted.id.filter(|_| !flow.admit.keys)?.to_string();
    Some(Example { flow, id, body })
}

impl Example<'_> {
    fn write(
        &self,
        front_end: SocketAddr,
        admin: SocketAddr,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let (flow, path, body) = (&self.flow.name, &self.flow.admit.path, &self.body);
        let id = segment(&self.id);
        writeln!(out, "\n{STRONG}try{STRONG:#}")?;
        writeln!(
            out,
            "curl http://{front_end}{path} -H 'content-type: application/json' -d '{body}'"
        )?;
        writeln!(out, "curl http://{admin}/why/{flow}/{id}")?;
        writeln!(out, "curl 'http://{admin}/decisions?max=5'")?;
        writeln!(out, "open http://{admin} in a browser: the dashboard")
    }
}
