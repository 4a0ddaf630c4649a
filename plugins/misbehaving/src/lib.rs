//! Does on request what an oracle must not: the field `do` of the body says
//! what, see [`misbehave`]. For the host's own tests; no flow wants it.
#![cfg_attr(
    not(target_family = "wasm"),
    allow(dead_code, reason = "it misbehaves in the sandbox only")
)]

use std::sync::atomic::{AtomicU64, Ordering};

use floodgate_oracle::{Verdict, log, settings};

#[derive(serde::Deserialize, Default)]
struct Wish {
    #[serde(default, rename = "do")]
    wish: String,
}

static SEEN: AtomicU64 = AtomicU64::new(0);

fn misbehave(body: &str) -> Result<Verdict, String> {
    if settings::get("fail").as_deref() == Some("always") {
        return Err("told to fail always".to_owned());
    }
    let wish: Wish = serde_json::from_str(body).map_err(|error| error.to_string())?;
    match wish.wish.as_str() {
        "trap" => panic!("told to trap"),
        "loop" => spin(),
        "memory" => hoard(),
        "recurse" => Ok(Verdict::new(recurse(1) as f64)),
        "nan" => Ok(Verdict::new(f64::NAN)),
        "seven" => Ok(Verdict::new(7.0)),
        "error" => Err("told to refuse".to_owned()),
        "count" => Ok(Verdict::new(
            SEEN.fetch_add(1, Ordering::Relaxed) as f64 / 1000.0,
        )),
        "log-flood" => {
            for line in 0..10_000 {
                log::info(&format!("line {line} {}", "x".repeat(2000)));
            }
            Ok(Verdict::new(0.5))
        }
        "big-output" => Ok(Verdict::new(0.5).output("x".repeat(40_000_000))),
        "setting" => {
            let answer = settings::get("answer").unwrap_or_default();
            Ok(Verdict::new(0.5).output(answer))
        }
        "high" => Ok(Verdict::new(0.9).reason("told-to")),
        _ => Ok(Verdict::new(0.5)),
    }
}

fn spin() -> ! {
    loop {
        std::hint::black_box(0);
    }
}

fn hoard() -> ! {
    let mut hoard = Vec::new();
    loop {
        hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if frame[1] == u64::MAX {
        return depth;
    }
    recurse(depth + 1) + frame[0]
}

#[cfg(target_family = "wasm")]
mod component {
    use floodgate_oracle::wit::{Entry, Guest, Verdict, export, judge_batch};

    struct Misbehaving;

    impl Guest for Misbehaving {
        fn judge(mut batch: Vec<Entry>) -> Vec<Result<Verdict, String>> {
            if floodgate_oracle::settings::get("drop").is_some() {
                batch.pop();
            }
            judge_batch(batch, |body, _| super::misbehave(body))
        }
    }

    export!(Misbehaving with_types_in floodgate_oracle::wit);
}
