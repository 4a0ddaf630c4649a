use jiff::Timestamp;

/// Reads a time such as 2026-01-31T12:00:00Z, or an age such as 2h.
pub(super) fn time_or_age(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let age = humantime::parse_duration(text)
        .map_err(|_| "write a time such as 2026-01-31T12:00:00Z, or an age such as 2h")?;
    Timestamp::now()
        .checked_sub(age)
        .map_err(|error| error.to_string())
}
