//! A score spread evenly over [0, 1) by a hash of the id.
//!
//! It knows nothing about risk: with a threshold of 0.8 one entry in five is
//! HIGH, whatever is posted, and the same id always gets the same score. Good
//! for load tests, and for seeing a hot swap.

use floodgate_oracle::{Entry, Verdict, oracle};

/// Any body will do.
#[derive(serde::Deserialize)]
struct Anything {}

fn judge(_: &Anything, entry: &Entry) -> Result<Verdict, String> {
    Ok(Verdict::new(score(&entry.id)).reason("uniform"))
}

oracle!(judge);

/// FNV-1a over the id's bytes, finished by the mixer of MurmurHash3 (fmix64),
/// as the upper 53 bits' fraction of 2^53: every value is exact in a double,
/// and 1.0 is none of them.
pub fn score(id: &str) -> f64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in id.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_spread_evenly_over_zero_to_one() {
        const IDS: usize = 100_000;
        let mut buckets = [0_usize; 10];
        for number in 0..IDS {
            let score = score(&format!("0x{number:064x}"));
            assert!((0.0..1.0).contains(&score));
            buckets[(score * 10.0) as usize] += 1;
        }
        // Five standard deviations of a binomial with n = 100,000, p = 0.1.
        for count in buckets {
            assert!(count.abs_diff(IDS / 10) < 475, "{buckets:?}");
        }
    }

    #[test]
    fn the_same_id_has_the_same_score_for_ever() {
        for (id, expected) in [("", 0.9368), ("a", 0.5103), ("0xabc", 0.8326)] {
            assert!((score(id) - expected).abs() < 1e-4, "{id}: {}", score(id));
        }
    }

    #[test]
    fn the_body_does_not_matter() {
        let entry = Entry {
            id: "x".into(),
            ..Entry::default()
        };
        let verdict = judge_json(r#"{"anything": [1, 2]}"#, &entry).unwrap();
        assert_eq!(verdict.score, score("x"));
        assert_eq!(verdict.reasons, ["uniform"]);
    }
}
