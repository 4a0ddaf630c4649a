//! What workers say of changed flow files: a front end without oracles cannot
//! try them, and takes what workers took.

use std::sync::Arc;

use floodgate_flow::{Flow, FlowName, FlowSet};
use floodgate_report::FlowTried;
use floodgate_report::Report;

/// What workers say of the flows that changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// One of them took each, or there is none that tells.
    Taken,
    Refused(FlowName, String),
    /// None of them has tried this one yet.
    NotYet(FlowName),
}

/// Returns the flows that workers try before they take them: those that use an
/// oracle in another way than before.
pub(super) fn tried<'f>(before: &FlowSet, new: &'f [Arc<Flow>]) -> Vec<&'f Flow> {
    let is_tried = |flow: &&Flow| {
        let known = before.find(flow.name.as_str());
        flow.new_uses(known.map(|known| &**known)).next().is_some()
    };
    new.iter().map(|flow| &**flow).filter(is_tried).collect()
}

/// Reads what the living workers published.
pub(super) fn word(reports: &[(String, String)], flows: &[&Flow]) -> Word {
    let reports: Vec<Vec<FlowTried>> = reports
        .iter()
        .filter_map(|(_, report)| serde_json::from_str::<Report>(report).ok()?.flows)
        .collect();
    if reports.is_empty() {
        return Word::Taken;
    }
    let mut not_yet = None;
    for flow in flows {
        let name = flow.name.as_str();
        let is_of_flow = |tried: &&FlowTried| tried.flow == name && tried.digest == flow.digest;
        let tried = reports.iter().flatten().filter(is_of_flow);
        // No error comes before any error: one worker that took the flow is enough.
        match tried.map(|tried| &tried.error).min() {
            Some(None) => {}
            Some(Some(error)) => return Word::Refused(flow.name.clone(), error.clone()),
            None => _ = not_yet.get_or_insert(flow.name.clone()),
        }
    }
    not_yet.map_or(Word::Taken, Word::NotYet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(name: &str, oracle: &str) -> Arc<Flow> {
        let text = format!(
            "[admit]\npath = \"/{name}\"\nschema = \"a\"\nid = {{ field = \"/id\" }}\n{oracle}\n[keep]\nwhen = \"always\"\n"
        );
        Arc::new(
            Flow::of_source(name, &text)
                .map_err(|_| "problems")
                .unwrap(),
        )
    }

    fn judged(name: &str, settings: &str) -> Arc<Flow> {
        flow(
            name,
            &format!("[[oracle]]\ncomponent = \"judge\"\n{settings}"),
        )
    }

    /// Of a worker that tried these; an error is why it did not take it.
    fn report(flows: &[(&Flow, Option<&str>)]) -> (String, String) {
        let flows: Vec<FlowTried> = flows
            .iter()
            .map(|(flow, error)| FlowTried {
                flow: flow.name.to_string(),
                digest: flow.digest,
                error: error.map(str::to_owned),
            })
            .collect();
        let report = serde_json::json!({ "oracles": [], "flows": flows });
        ("worker".to_owned(), report.to_string())
    }

    #[test]
    fn what_uses_an_oracle_in_another_way_is_tried() {
        let before = FlowSet {
            live: [judged("a", "memory = \"8MiB\""), flow("b", "")].into(),
            draining: Vec::new().into(),
        };
        let new = [
            judged("a", "memory = \"16MiB\""),
            flow("b", ""),
            judged("c", ""),
        ];
        let names = |flows: Vec<&Flow>| -> Vec<String> {
            flows.iter().map(|flow| flow.name.to_string()).collect()
        };
        assert_eq!(names(tried(&before, &new)), ["a", "c"]);
        let same = [judged("a", "memory = \"8MiB\"")];
        assert!(tried(&before, &same).is_empty());
    }

    #[test]
    fn one_worker_that_took_it_is_enough_and_none_that_tells_is_no_reason_to_wait() {
        let (new, old) = (judged("a", "memory = \"8MiB\""), judged("a", ""));
        let taken = report(&[(&new, None)]);
        let refused = report(&[(&old, None), (&new, Some("typo"))]);
        let silent = ("old".to_owned(), r#"{"oracles":[]}"#.to_owned());
        let word = |reports: &[(String, String)]| word(reports, &[&new]);
        assert_eq!(word(&[]), Word::Taken);
        assert_eq!(word(std::slice::from_ref(&silent)), Word::Taken);
        assert_eq!(
            word(&[report(&[(&old, None)])]),
            Word::NotYet(FlowName::new("a"))
        );
        assert_eq!(
            word(&[silent, refused.clone()]),
            Word::Refused(FlowName::new("a"), "typo".into())
        );
        assert_eq!(word(&[refused, taken]), Word::Taken);
    }

    /// Workers stop at the first one that they do not take.
    #[test]
    fn what_is_refused_counts_before_what_is_not_tried_yet() {
        let (one, other) = (judged("a", ""), judged("b", ""));
        let refused = report(&[(&other, Some("typo"))]);
        assert_eq!(
            word(&[refused], &[&one, &other]),
            Word::Refused(FlowName::new("b"), "typo".into())
        );
    }
}
