//! Names directories for what can be made again.

use std::path::PathBuf;

/// Returns the directory `name` in Floodgate's part of the user's cache directory
/// (XDG Base Directory Specification).
pub fn user_cache(name: &str) -> PathBuf {
    let var = |name| std::env::var_os(name).map(PathBuf::from);
    var("XDG_CACHE_HOME")
        .or_else(|| var("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("floodgate")
        .join(name)
}
