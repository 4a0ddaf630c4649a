//! Keeps values of the environment out of what is printed: a password may stand
//! in the wrong variable. What stands on the command line everybody on the
//! machine can read anyway, and is quoted.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};

/// Leaves the values of variables out of `--help`.
pub(super) fn hide_values(command: Command) -> Command {
    let command = command.mut_args(|argument| argument.hide_env_values(true));
    command.mut_subcommands(hide_values)
}

/// Returns the error without a value that comes from the environment.
pub(super) fn unquoted(error: Error, command: Command) -> Error {
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else {
        return error;
    };
    let typed = |argument: String| argument.contains(value.as_str());
    let mut arguments = std::env::args_os().skip(1);
    if arguments.any(|argument| typed(argument.to_string_lossy().into_owned())) {
        return error;
    }
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let mut command = command;
    // Until then an option does not know how errors name it.
    command.build();
    let variable = variable_of(&command, option);
    let variable = variable.unwrap_or_else(|| "a variable of the environment".to_owned());
    let what = format!(
        "the value of {variable} does not fit {option}; it is not shown, since it may be a secret \
         in the wrong variable"
    );
    command.error(ErrorKind::ValueValidation, what)
}

/// Finds the variable that has the value of an option, by how errors name it.
fn variable_of(command: &Command, option: &str) -> Option<String> {
    let is_meant = |argument: &&Arg| argument.to_string() == option;
    let own = command.get_arguments().find(is_meant);
    let own = own.and_then(Arg::get_env);
    own.map(|name| name.to_string_lossy().into_owned())
        .or_else(|| {
            let mut commands = command.get_subcommands();
            commands.find_map(|command| variable_of(command, option))
        })
}
