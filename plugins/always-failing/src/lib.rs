//! Refuses every entry: the host must see that the fault is the oracle's and
//! not the entries'.

use floodgate_oracle::{Entry, Verdict, oracle};
use serde::de::IgnoredAny;

fn judge(_body: &IgnoredAny, _entry: &Entry) -> Result<Verdict, String> {
    Err("this oracle refuses everything".to_owned())
}

oracle!(judge);
