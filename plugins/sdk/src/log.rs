//! Lines for the host's log; natively they go to standard error. The host
//! drops what is said beyond its limit.

pub fn debug(message: &str) {
    write("debug", message);
}

pub fn info(message: &str) {
    write("info", message);
}

pub fn warn(message: &str) {
    write("warn", message);
}

pub fn error(message: &str) {
    write("error", message);
}

#[cfg(target_arch = "wasm32")]
fn write(level: &str, message: &str) {
    crate::bindings::floodgate::oracle::log::write(level, message);
}

#[cfg(not(target_arch = "wasm32"))]
fn write(level: &str, message: &str) {
    eprintln!("{level}: {message}");
}

/// Hands the text of a panic to the host, which makes it part of the fault and
/// writes it into no log. [`oracle!`](crate::oracle) does it; only an oracle
/// that writes its own export calls it.
#[cfg(target_arch = "wasm32")]
pub fn panics() {
    std::panic::set_hook(Box::new(|panic| write("panic", &panic.to_string())));
}
