use jiff::civil::Date;
use object_store::path::Path;

/// Where a file lies, below the root of the cold tier. A flow has the name of
/// its file, so whatever no object store takes is percent-encoded.
pub fn path(flow: &str, day: Date, number: i64) -> Path {
    let parts = [
        flow.to_owned(),
        format!("day={day}"),
        format!("{number}.parquet"),
    ];
    parts.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_by_flow_and_day() {
        let day = Date::constant(2026, 1, 2);
        assert_eq!(
            path("events", day, 7).as_ref(),
            "events/day=2026-01-02/7.parquet"
        );
        assert_eq!(
            path("..", day, 7).as_ref(),
            "%2E%2E/day=2026-01-02/7.parquet"
        );
    }
}
