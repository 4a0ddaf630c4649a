use std::time::Duration;

use floodgate_flow::{Decide, Decision, Judged, Keep, Label, Verdict};

/// What the flow makes of its oracles' verdicts, in the order in which they
/// judged. A part is never combined: the caller has a verdict of each.
pub fn decide(
    rule: &Decide,
    verdicts: Vec<Verdict>,
    oracles: Vec<Judged>,
    inference: Duration,
) -> Decision {
    let score = rule.score(&verdicts);
    let label = score.map(|score| {
        if score > rule.threshold {
            Label::High
        } else {
            Label::Low
        }
    });
    let mut reasons: Vec<String> = Vec::new();
    let mut output = None;
    for verdict in verdicts {
        for reason in verdict.reasons {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        output = verdict.output.or(output);
    }
    Decision {
        score,
        label,
        label_name: label.map(|label| match label {
            Label::High => rule.high.clone(),
            Label::Low => rule.low.clone(),
        }),
        reasons,
        output,
        oracles,
        threshold: rule.threshold,
        inference,
    }
}

/// Of an entry that no oracle could judge, in a flow that has it count as HIGH.
pub(super) fn unjudged(rule: &Decide) -> Decision {
    let verdict = Verdict {
        score: 1.0,
        reasons: vec!["unjudged".to_owned()],
        output: None,
    };
    decide(rule, vec![verdict], Vec::new(), Duration::ZERO)
}

pub(super) fn is_kept(keep: Keep, decision: &Decision) -> bool {
    match keep {
        Keep::High => decision.label == Some(Label::High),
        Keep::Always => true,
        Keep::Never => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use floodgate_flow::{Combine, Unjudged};

    fn rule(combine: Combine) -> Decide {
        Decide {
            combine,
            threshold: 0.8,
            high: "HIGH".into(),
            low: "LOW".into(),
            pending: "PENDING".into(),
            unjudged: Unjudged::DeadLetter,
        }
    }

    fn verdict(score: f64, reason: &str, output: Option<&str>) -> Verdict {
        Verdict {
            score,
            reasons: vec![reason.into()],
            output: output.map(str::to_owned),
        }
    }

    fn decided(combine: Combine, scores: &[f64]) -> Decision {
        let verdicts = scores.iter().map(|s| verdict(*s, "r", None)).collect();
        decide(&rule(combine), verdicts, Vec::new(), Duration::ZERO)
    }

    #[test]
    fn only_what_is_strictly_above_the_threshold_is_high() {
        for (score, label) in [
            (0.8, Label::Low),
            (0.8 + f64::EPSILON, Label::High),
            (0.0, Label::Low),
            (1.0, Label::High),
        ] {
            assert_eq!(
                decided(Combine::Max, &[score]).label,
                Some(label),
                "{score}"
            );
        }
    }

    #[test]
    fn scores_are_combined_as_the_flow_says() {
        for (how, score) in [
            (Combine::Max, 0.9),
            (Combine::Min, 0.1),
            (Combine::Mean, 0.5),
        ] {
            let combined = decided(how, &[0.1, 0.5, 0.9]).score.unwrap();
            assert!((combined - score).abs() < 1e-12, "{how:?}: {combined}");
        }
    }

    #[test]
    fn a_flow_without_oracles_has_neither_score_nor_label() {
        let decision = decided(Combine::Max, &[]);
        assert_eq!((decision.score, decision.label), (None, None));
        assert!(is_kept(Keep::Always, &decision));
        assert!(!is_kept(Keep::High, &decision));
    }

    #[test]
    fn reasons_are_joined_once_each_and_the_last_output_counts() {
        let verdicts = vec![
            verdict(0.1, "a", Some("first")),
            verdict(0.2, "b", Some("second")),
            verdict(0.3, "a", None),
        ];
        let decision = decide(&rule(Combine::Max), verdicts, Vec::new(), Duration::ZERO);
        assert_eq!(decision.reasons, ["a", "b"]);
        assert_eq!(decision.output.as_deref(), Some("second"));
    }
}
