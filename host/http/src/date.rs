//! The `Date` of an answer. hyper makes one, too, and keeps it until the clock
//! has passed it: after the clock was set back, it stays in the future for as
//! long as that takes.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime};

use hyper::header::HeaderValue;

/// The date of an answer has no more than seconds.
const GOOD_FOR: Duration = Duration::from_millis(500);

/// A date that was written, and when that was by a clock that nobody sets.
struct Written {
    at: Instant,
    date: HeaderValue,
}

thread_local!(static WRITTEN: RefCell<Option<Written>> = const { RefCell::new(None) });

/// Returns the date of now, at most half a second old.
pub(super) fn now() -> Option<HeaderValue> {
    let now = Instant::now();
    WRITTEN.with_borrow_mut(|written| date_at(written, now, SystemTime::now))
}

fn date_at(
    written: &mut Option<Written>,
    now: Instant,
    clock: impl FnOnce() -> SystemTime,
) -> Option<HeaderValue> {
    match written {
        Some(last) if now.duration_since(last.at) < GOOD_FOR => Some(last.date.clone()),
        _ => {
            let date = httpdate::fmt_http_date(clock());
            let date = HeaderValue::try_from(date).ok()?;
            let at = now;
            Some(written.insert(Written { at, date }).date.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_followed() {
        let began = Instant::now();
        let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut written = None;
        let mut at = |after, clock| date_at(&mut written, began + after, || clock).unwrap();
        let ahead = at(Duration::ZERO, time(7200));
        assert_eq!(ahead, "Thu, 01 Jan 1970 02:00:00 GMT");
        assert_eq!(at(Duration::from_millis(499), time(3600)), ahead);
        let followed = at(Duration::from_millis(500), time(3600));
        assert_eq!(followed, "Thu, 01 Jan 1970 01:00:00 GMT");
    }
}
