//! Answers a task with its payload in upper case.

use floodgate_oracle::{Entry, Verdict, oracle};

#[derive(serde::Deserialize)]
struct Task {
    payload: String,
}

fn judge(task: &Task, _entry: &Entry) -> Result<Verdict, String> {
    let output = format!("Processed: {}", task.payload.to_uppercase());
    Ok(Verdict::score(0.0).output(output))
}

oracle!(judge);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_comes_back_in_upper_case() {
        for (payload, output) in [
            (r#""text""#, "Processed: TEXT"),
            (r#""straße \"é\"""#, "Processed: STRASSE \"É\""),
        ] {
            let body = format!(r#"{{"payload": {payload}}}"#);
            let verdict = judge_entry(&Entry::new("1", body)).unwrap();
            assert_eq!(verdict.output.as_deref(), Some(output));
        }
    }
}
