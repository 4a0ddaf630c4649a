//! The contract's own types; the `oracle!` macro is what an author uses.

wit_bindgen::generate!({
    path: "../../wit",
    world: "oracle",
    pub_export_macro: true,
    export_macro_name: "export",
});

/// One result per entry, in order.
pub fn judge_batch(
    batch: Vec<Entry>,
    judge: impl Fn(&str, &crate::Entry) -> Result<crate::Verdict, String>,
) -> Vec<Result<Verdict, String>> {
    batch
        .into_iter()
        .map(|entry| {
            let about = crate::Entry {
                id: entry.id,
                received_at: entry.received_at,
                attributes: entry.attributes,
            };
            judge(&entry.body, &about).map(|verdict| Verdict {
                score: verdict.score,
                reasons: verdict.reasons,
                output: verdict.output,
                attributes: Vec::new(),
            })
        })
        .collect()
}
