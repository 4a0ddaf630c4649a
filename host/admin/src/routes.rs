//! What the admin API can be called for.

/// A call, whatever it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Health,
    Readiness,
    Metrics,
    Flows,
    KeptSince,
    Sample,
    Post,
    Decisions,
    Decision,
    Pending,
    Why,
    Oracles,
    Rollback,
    Pin,
    Unpin,
    Component,
    Dead,
    DeadLetter,
    Requeue,
    Rehearse,
    Purge,
    Query,
    Erase,
    Audit,
    Stream,
}

/// (method, path, call); `*` is any name.
const ROUTES: &[(&str, &str, Call)] = &[
    ("GET", "healthz", Call::Health),
    ("GET", "readyz", Call::Readiness),
    ("GET", "metrics", Call::Metrics),
    ("GET", "flows", Call::Flows),
    ("GET", "flows/*/kept", Call::KeptSince),
    ("GET", "flows/*/sample", Call::Sample),
    ("POST", "flows/*/post", Call::Post),
    ("GET", "decisions", Call::Decisions),
    ("GET", "decisions/*/*", Call::Decision),
    ("GET", "pending", Call::Pending),
    ("GET", "why/*/*", Call::Why),
    ("GET", "oracles", Call::Oracles),
    ("POST", "oracles/*/rollback", Call::Rollback),
    ("POST", "oracles/*/pin", Call::Pin),
    ("POST", "oracles/*/unpin", Call::Unpin),
    ("GET", "components/*", Call::Component),
    ("GET", "dead", Call::Dead),
    ("POST", "dead/requeue", Call::Requeue),
    ("POST", "dead/rehearse", Call::Rehearse),
    ("POST", "dead/purge", Call::Purge),
    ("GET", "dead/*/*", Call::DeadLetter),
    ("POST", "query", Call::Query),
    ("POST", "erase", Call::Erase),
    ("GET", "audit", Call::Audit),
    ("GET", "stream", Call::Stream),
];

/// What a path is there for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub method: &'static str,
    pub call: Call,
    /// In the place of each `*`; empty where there is none.
    pub names: [String; 2],
}

/// With or without a slash at the end. `None` where there is no such path.
pub(super) fn route(path: &str) -> Option<Route> {
    let path = path.trim_matches('/');
    ROUTES.iter().find_map(|(method, pattern, call)| {
        Some(Route {
            method,
            call: *call,
            names: names(pattern, path)?,
        })
    })
}

fn names(pattern: &str, path: &str) -> Option<[String; 2]> {
    let mut names = Vec::new();
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (Some("*"), Some(name)) => names.push(decoded(name)),
            (Some(wanted), Some(given)) if wanted == given => {}
            (None, None) => break,
            _ => return None,
        }
    }
    let mut names = names.into_iter();
    Some([(); 2].map(|()| names.next().unwrap_or_default()))
}

/// A segment of a path, percent-decoded.
fn decoded(segment: &str) -> String {
    // In a path these three are nothing but themselves.
    let segment = segment.replace('+', "%2B").replace('&', "%26");
    form_urlencoded::parse(format!("={segment}").as_bytes())
        .next()
        .map(|(_, text)| text.into_owned())
        .unwrap_or_default()
}

/// How the paths begin, for who asks for another one.
pub(super) fn beginnings() -> String {
    let first = |(_, path, _): &(_, &'static str, _)| path.split('/').next().unwrap_or(path);
    let mut all: Vec<&str> = ROUTES.iter().map(first).collect();
    all.dedup();
    format!("/{}", all.join(", /"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_leads_to_its_own_call() {
        for (method, pattern, call) in ROUTES {
            for path in [format!("/{pattern}"), format!("/{pattern}/")] {
                let found = route(&path).unwrap();
                assert_eq!((found.method, found.call), (*method, *call), "{path}");
            }
        }
    }

    #[test]
    fn names_are_decoded_and_stay_in_their_segment() {
        let found = route("/why/transactions/a%2Fb+c&d%20e").unwrap();
        assert_eq!(found.names, ["transactions", "a/b+c&d e"]);
        for path in ["/", "/why", "/why/a", "/why/a/b/c", "/dead/purge/it/now"] {
            assert_eq!(route(path), None, "{path}");
        }
    }

    #[test]
    fn every_beginning_is_told_once() {
        assert_eq!(
            beginnings(),
            "/healthz, /readyz, /metrics, /flows, /decisions, /pending, /why, /oracles, \
             /components, /dead, /query, /erase, /audit, /stream"
        );
    }
}
