//! The migrations are embedded by a macro that does not tell cargo so.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations/embedded");
}
