//! `floodgate oracle watch`: from a save to a verdict that changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use bytesize::ByteSize;
use clap::Args;

use super::AdminOption;
use super::client::Client;
use super::oracle_sample::{self as sample, Comparison, setting};
use super::oracle_taken::taken;
use super::out::{note, print};
use floodgate_flow::{Entry, OracleSettings};
use floodgate_oracle_build::{BuildError, Component, Sources, make};
use floodgate_oracle_host::{Engine, EngineOptions, LoadError, Oracle};

const RED: Style = AnsiColor::Red.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default().bold();

#[derive(Debug, Args)]
#[command(after_long_help = "\
What does not build or does not fit the contract is printed, and the component that was there \
stays. Each one that fits is dropped whole; the table says what it makes of the sample, and what \
the one before made of it. Ctrl-C ends it.")]
pub(super) struct Arguments {
    /// Directory of the oracle's crate
    #[arg(name = "crate")]
    crate_dir: PathBuf,
    /// Directory for <package>.wasm; the one that a running floodgate dev looks at
    #[arg(short, long, value_name = "DIR", default_value = "plugins/dist")]
    out: PathBuf,
    /// Entries to judge, one JSON body per line [default: sample.ndjson of the crate]
    #[arg(long, value_name = "FILE")]
    sample: Option<PathBuf>,
    /// A setting of [oracle.settings]; may be given several times
    #[arg(long = "setting", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    #[command(flatten)]
    admin: AdminOption,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    tokio::select! {
        watched = watch(arguments) => watched,
        stopped = tokio::signal::ctrl_c() => stopped.context("listen for SIGINT"),
    }
}

async fn watch(arguments: Arguments) -> anyhow::Result<()> {
    // First: where there is no crate, nothing is to be made.
    let mut sources = Sources::find(&arguments.crate_dir).await?;
    let watch = Watch::new(arguments)?;
    sources.leave_out(&watch.out);
    if let Some(sample) = &watch.sample {
        sources.add(sample);
    }
    loop {
        // Before the build: what is saved during it is seen after it.
        let seen = sources.look();
        watch.round().await?;
        note(format_args!(
            "watching {}, Ctrl-C ends it",
            watch.crate_dir.display()
        ));
        sources.changed(&seen).await;
    }
}

struct Watch {
    crate_dir: PathBuf,
    out: PathBuf,
    sample: Option<PathBuf>,
    settings: Arc<OracleSettings>,
    engine: Arc<Engine>,
    client: Client,
}

/// A component that fits, and the one that it takes the place of.
struct Trial {
    component: Component,
    oracle: Oracle,
    before: Option<Oracle>,
}

impl Watch {
    fn new(arguments: Arguments) -> anyhow::Result<Self> {
        let out = arguments.out;
        std::fs::create_dir_all(&out).with_context(|| {
            let out = out.display();
            format!("create {out}; name another directory with --out")
        })?;
        if let Some(sample) = &arguments.sample {
            sample::read(sample)?;
        }
        Ok(Self {
            crate_dir: arguments.crate_dir,
            out,
            sample: arguments.sample,
            settings: sample::settings(&arguments.settings),
            // Without a cache: most builds are judged once and replaced.
            engine: Arc::new(Engine::new(&EngineOptions::default())?),
            client: Client::new(&arguments.admin),
        })
    }

    /// One build, and what comes of it. An error ends the watching.
    async fn round(&self) -> anyhow::Result<()> {
        match self.attempt().await {
            Ok(trial) => self.tell(trial).await,
            Err(error) if no_save_mends(&error) => Err(error),
            Err(error) => {
                let out = self.out.display();
                note(format_args!(
                    "{RED}error:{RED:#} {error}\nwhat lies in {out} stays as it is"
                ));
                Ok(())
            }
        }
    }

    async fn attempt(&self) -> anyhow::Result<Trial> {
        let started = Instant::now();
        let component = make(&self.crate_dir, |line| note(line)).await?;
        let path = component.path_in(&self.out);
        let engine = Arc::clone(&self.engine);
        let load = move || Trial::load(&engine, component, &path);
        let trial = tokio::task::spawn_blocking(load).await??;
        trial.put_into(&self.out, started)?;
        Ok(trial)
    }

    /// The verdicts, while the running host has time to take it.
    async fn tell(&self, trial: Trial) -> anyhow::Result<()> {
        let (name, digest) = (trial.component.name.clone(), trial.oracle.digest());
        let (entries, settings) = (self.entries(), Arc::clone(&self.settings));
        let judge = move || trial.judge(entries, &settings);
        let (judged, taken) = tokio::join!(
            tokio::task::spawn_blocking(judge),
            taken(&self.client, &name, digest)
        );
        print(format_args!("{}\n{taken}", judged?))
    }

    /// Read again each time: the sample is worked on, too.
    fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        let of_crate = self.crate_dir.join("sample.ndjson");
        match &self.sample {
            Some(sample) => sample::read(sample),
            None if of_crate.exists() => sample::read(&of_crate),
            None => Ok(Vec::new()),
        }
    }
}

fn no_save_mends(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(BuildError::NoTarget(_)))
}

impl Trial {
    fn load(engine: &Engine, component: Component, path: &Path) -> Result<Self, LoadError> {
        let load = |bytes: &[u8]| {
            let oracle = Oracle::load(engine, bytes)?;
            Ok::<_, LoadError>(oracle.named(component.name.as_str()))
        };
        let oracle = load(&component.bytes)?;
        // One that does not load has no verdicts to compare with.
        let before = std::fs::read(path).ok().and_then(|bytes| load(&bytes).ok());
        Ok(Self {
            component,
            oracle,
            before,
        })
    }

    fn put_into(&self, out: &Path, started: Instant) -> anyhow::Result<()> {
        let path = self.component.path_in(out);
        let (path, digest) = (path.display(), self.oracle.digest());
        if self.before.as_ref().map(Oracle::digest) == Some(digest) {
            return print(format_args!(
                "{GREEN}unchanged{GREEN:#} {path} {digest:.12}"
            ));
        }
        let built = self.component.put_into(out)?;
        print(format_args!(
            "{GREEN}dropped{GREEN:#} {path} {digest:.12} ({}) after {:.1} s",
            ByteSize(built.size),
            started.elapsed().as_secs_f64()
        ))
    }

    fn judge(&self, entries: anyhow::Result<Vec<Entry>>, settings: &Arc<OracleSettings>) -> String {
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return format!("{error:#}; mend the sample to see verdicts"),
        };
        let count = entries.len();
        if count == 0 {
            return "no sample: write bodies to sample.ndjson of the crate, one per line"
                .to_owned();
        }
        let before = self.before.as_ref();
        let Comparison { table, changed } =
            sample::compare(before, &self.oracle, &entries, settings);
        match before {
            Some(_) => format!("{table}\n{changed} of {count} verdicts changed"),
            None => format!("{table}"),
        }
    }
}
