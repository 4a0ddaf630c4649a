//! A score spread evenly over [0, 1) by a hash of the id, so that a threshold
//! of 0.8 finds 20 % HIGH: for load tests, and to see a hot swap.
//!
//! Whoever knows the ids can recompute which entries a flow must have kept:
//! see [`score`].

use floodgate_oracle::{Entry, Verdict, oracle};
use serde::de::IgnoredAny;

/// FNV-1a over the bytes of the id, then the finaliser of MurmurHash3 (FNV
/// alone leaves the upper bits of similar ids alike), of which the upper 53
/// bits count: a double holds no more, and more would round up to 1.0.
///
/// ```
/// # use uniform_risk::score;
/// assert_eq!(score(""), 0.93676944839044);
/// ```
#[must_use]
pub fn score(id: &str) -> f64 {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    let hash = hash ^ (hash >> 33);
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

fn judge(_body: &IgnoredAny, entry: &Entry) -> Result<Verdict, String> {
    Ok(Verdict::score(score(&entry.id)))
}

oracle!(judge);

#[cfg(test)]
mod tests {
    use super::*;

    /// Other programs recompute these: they may never change.
    #[test]
    fn known_ids_keep_their_scores() {
        let hash = "0x0000000000000000000000000000000000000000000000000000000000000001";
        for (id, expected) in [
            ("", 0.93676944839044),
            ("a", 0.5102945176565711),
            ("tx-1", 0.8921689499797641),
            ("é", 0.6145904496611594),
            (hash, 0.5951396550785948),
        ] {
            assert_eq!(score(id), expected, "{id:?}");
        }
    }

    #[test]
    fn scores_of_similar_ids_are_spread_evenly_below_one() {
        const IDS: usize = 100_000;
        for prefix in ["", "0x", "transaction-"] {
            let mut buckets = [0_usize; 10];
            for n in 0..IDS {
                let score = score(&format!("{prefix}{n:064x}"));
                assert!((0.0..1.0).contains(&score), "{score}");
                buckets[(score * 10.0) as usize] += 1;
            }
            // Five standard deviations of a bucket's count, which is binomial.
            let expected = IDS / 10;
            let tolerance = 5.0 * (IDS as f64 * 0.1 * 0.9).sqrt();
            for count in buckets {
                assert!(
                    count.abs_diff(expected) as f64 <= tolerance,
                    "{prefix}: {buckets:?}"
                );
            }
        }
    }

    #[test]
    fn only_the_id_counts() {
        let one = judge_entry(&Entry::new("tx-1", r#"{"value_eth": 1}"#));
        let other = judge_entry(&Entry::new("tx-1", "[]").received_at(7));
        assert_eq!(one, other);
        assert_eq!(one, Ok(Verdict::score(score("tx-1"))));
    }
}
