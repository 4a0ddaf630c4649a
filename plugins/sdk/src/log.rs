//! Lines for the host's log. The host bounds how much of it is kept.

pub fn info(message: &str) {
    write("info", message);
}

pub fn warn(message: &str) {
    write("warn", message);
}

#[cfg(target_family = "wasm")]
fn write(level: &str, message: &str) {
    crate::wit::floodgate::oracle::log::write(level, message);
}

#[cfg(not(target_family = "wasm"))]
fn write(level: &str, message: &str) {
    eprintln!("{level}: {message}");
}
