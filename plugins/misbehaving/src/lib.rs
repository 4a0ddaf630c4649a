//! Does on demand what an oracle must not do, to test the host.
//!
//! The field `do` of the body chooses, entry by entry:
//!
//! | `do` | what happens |
//! |---|---|
//! | `trap` | panics |
//! | `loop` | never returns |
//! | `memory` | allocates and touches memory without bound |
//! | `recurse` | calls itself until the stack is full |
//! | `nan`, `seven` | a score that is not a number, a score of 7.0 |
//! | `error` | an error for this entry |
//! | `count` | counts the entries that this instance has counted; score = count / 1000 |
//! | `log-flood` | 100 000 log lines |
//! | `big-output` | an output of 100 MB |
//! | `setting` | output = the setting `answer` |
//! | `high` | score 0.9, reason `told-to` |
//! | anything else, or no such field | score 0.5 |
//!
//! Two settings hold for the whole batch: `fail = "always"` makes every entry
//! an error, and `drop = "1"` returns one result too few.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use floodgate_oracle::bindings::{Guest, export};
use floodgate_oracle::{Entry, Verdict, log, settings};

#[derive(serde::Deserialize)]
struct Order {
    #[serde(default, rename = "do")]
    what: String,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

struct Misbehaving;

/// The raw export instead of `oracle!`, which cannot return too few results.
impl Guest for Misbehaving {
    fn judge(mut batch: Vec<Entry>) -> Vec<Result<Verdict, String>> {
        #[cfg(target_arch = "wasm32")]
        log::panics();
        if settings::get("drop").as_deref() == Some("1") {
            batch.pop();
        }
        if settings::get("fail").as_deref() == Some("always") {
            return vec![Err("told to fail always".to_owned()); batch.len()];
        }
        batch.iter().map(judge).collect()
    }
}

#[allow(unsafe_code, reason = "generated: the canonical ABI is raw pointers")]
mod component {
    use super::Misbehaving;

    super::export!(Misbehaving with_types_in floodgate_oracle::bindings);
}

fn judge(entry: &Entry) -> Result<Verdict, String> {
    let order: Order = floodgate_oracle::parse(&entry.body)?;
    match order.what.as_str() {
        "trap" => trap(),
        "loop" => spin(),
        "memory" => eat_memory(),
        "recurse" => Ok(Verdict::score(recurse(1) as f64)),
        "nan" => Ok(Verdict::score(f64::NAN)),
        "seven" => Ok(Verdict::score(7.0)),
        "error" => Err("told to refuse this entry".to_owned()),
        "count" => {
            let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
            Ok(Verdict::score(f64::from(count) / 1000.0))
        }
        "log-flood" => {
            for n in 0..100_000 {
                log::warn(&format!("line {n} of a flood"));
            }
            Ok(Verdict::score(0.5))
        }
        "big-output" => Ok(Verdict::score(0.5).output("x".repeat(100_000_000))),
        "setting" => {
            let verdict = Verdict::score(0.5);
            Ok(match settings::get("answer") {
                Some(answer) => verdict.output(answer),
                None => verdict,
            })
        }
        "high" => Ok(Verdict::score(0.9).reason("told-to")),
        _ => Ok(Verdict::score(0.5)),
    }
}

#[allow(clippy::panic, reason = "what it is for")]
fn trap() -> ! {
    panic!("told to panic")
}

fn spin() -> ! {
    loop {
        black_box(());
    }
}

fn eat_memory() -> ! {
    let mut eaten = Vec::new();
    loop {
        // Not zeroes: those would be pages that nobody touches.
        eaten.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Works on the result of the inner call: a tail call would need no stack.
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if frame[0] == u64::MAX {
        return 0; // never reached, but the compiler warns of a function that cannot return
    }
    recurse(depth + 1).wrapping_add(frame[63])
}
