//! P4: one judged entry in a batch of 256, a fresh instance for each batch,
//! against the same crate native. `cargo bench --bench parts` has more sizes.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use floodgate_flow::{Entry, OracleSettings};

use super::judging::{self, LIMITS, as_the_guest_sees_it, transaction};
use super::report::{Figure, Target};

const BATCH: usize = 256;
const TIMES: usize = 400;

pub fn measure() -> anyhow::Result<Vec<Figure>> {
    let oracle = judging::oracle()?;
    let settings = Arc::new(OracleSettings::default());
    let entries: Vec<Entry> = (0..BATCH as u64).map(transaction).collect();
    let batch: Vec<&Entry> = entries.iter().collect();
    let native: Vec<_> = entries.iter().map(as_the_guest_sees_it).collect();
    let (mut guest_us, mut native_us) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        guest_us.push(time(|| {
            _ = black_box(oracle.judge(&batch, &settings, LIMITS))
        }));
        native_us.push(time(|| _ = black_box(mempool_risk::judge_batch(&native))));
    }
    let (guest, native) = (median(guest_us), median(native_us));
    Ok(vec![
        Figure::told(
            "P4",
            "judged, a fresh instance per batch of 256",
            guest,
            "µs",
        ),
        Figure::told("P4", "the same crate native", native, "µs"),
        Figure::of(
            "P4",
            "against native",
            guest / native,
            "times",
            Target::AtMost(4.0),
        ),
    ])
}

/// Microseconds per entry.
fn time(job: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    job();
    begun.elapsed().as_secs_f64() * 1e6 / BATCH as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
