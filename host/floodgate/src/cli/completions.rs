use clap::Args;
use clap_complete::Shell;

use super::out::print;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell that is to complete them
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // Not straight to standard output: it panics where nobody reads that.
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut super::command(),
        "floodgate",
        &mut script,
    );
    print(String::from_utf8_lossy(&script).trim_end())
}
