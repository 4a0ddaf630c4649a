use hyper::Version;

use super::*;
use crate::AdminTokenSettings;

fn guard(address: &str, token: Option<&str>) -> Option<Guard> {
    let named = AdminTokenSettings {
        admin_token_file: None,
        admin_token: token.map(str::to_owned),
    };
    Guard::of(address.parse().unwrap(), Token::named(&named).unwrap())
}

fn checked(guard: &Guard, call: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
    let (method, path) = call.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    guard.check(&request.body(()).unwrap())
}

const HOST: (&str, &str) = ("host", "127.0.0.1:9090");
const JSON: (&str, &str) = ("content-type", "application/json");
const TOKEN: &str = "0123456789abcdef";
const BEARER: (&str, &str) = ("authorization", "Bearer 0123456789abcdef");

#[test]
fn an_address_that_others_reach_needs_a_token() {
    for address in [
        "127.0.0.1:1",
        "127.8.8.8:1",
        "[::1]:1",
        "[::ffff:127.0.0.1]:1",
    ] {
        assert!(guard(address, None).is_some(), "{address}");
    }
    for address in ["0.0.0.0:1", "[::]:1", "192.0.2.7:1", "[::ffff:192.0.2.7]:1"] {
        assert!(guard(address, None).is_none(), "{address}");
        assert!(guard(address, Some(TOKEN)).is_some(), "{address}");
    }
}

#[test]
fn without_a_token_only_names_of_this_machine_are_answered() {
    let guard = guard("127.0.0.1:9090", None).unwrap();
    let called_as = |host: &str| checked(&guard, "GET /flows", &[("host", host)]);
    for host in [
        "127.0.0.1",
        "127.0.0.1:9090",
        "127.1.2.3:80",
        "[::1]:9090",
        "localhost:4000",
        "LocalHost",
    ] {
        assert_eq!(called_as(host), Ok(()), "{host}");
    }
    for host in [
        "",
        "evil.example:9090",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.0.2.7:9090",
        "[::2]:9090",
        "0.0.0.0:9090",
    ] {
        assert_eq!(called_as(host), Err(Refusal::ForeignHost), "{host}");
    }
    let nameless = checked(&guard, "GET /healthz", &[]);
    assert_eq!(nameless, Err(Refusal::NoHost(NoHost)));
    // As some health checks ask.
    let old = Request::get("/healthz").version(Version::HTTP_10);
    assert_eq!(guard.check(&old.body(()).unwrap()), Ok(()));
}

#[test]
fn with_a_token_every_name_is_answered_to_whoever_has_it() {
    let guard = guard("0.0.0.0:9090", Some(TOKEN)).unwrap();
    let host = ("host", "floodgate.internal:9090");
    let wrong = ("authorization", "Bearer 0123456789abcdeF");
    for call in [
        "GET /flows",
        "GET /metrics",
        "GET /healthz/deep",
        "POST /healthz",
    ] {
        assert_eq!(checked(&guard, call, &[host, JSON]), Err(Refusal::NoToken));
        let shown = checked(&guard, call, &[host, JSON, wrong]);
        assert_eq!(shown, Err(Refusal::WrongToken));
        assert_eq!(checked(&guard, call, &[host, JSON, BEARER]), Ok(()));
    }
    for call in [
        "GET /healthz",
        "GET /readyz",
        "GET /",
        "GET /dashboard/app.js",
    ] {
        assert_eq!(checked(&guard, call, &[host]), Ok(()), "{call}");
    }
}

#[test]
fn a_page_of_another_origin_changes_nothing_with_or_without_a_token() {
    let open = guard("127.0.0.1:9090", None).unwrap();
    let closed = guard("127.0.0.1:9090", Some(TOKEN)).unwrap();
    for guard in [open, closed] {
        let post = |header| checked(&guard, "POST /dead/purge", &[HOST, JSON, BEARER, header]);
        for header in [
            ("origin", "http://127.0.0.1:9090"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
        ] {
            assert_eq!(post(header), Ok(()), "{header:?}");
        }
        for header in [
            ("origin", "null"),
            ("origin", ""),
            ("origin", "https://evil.example"),
            ("origin", "http://127.0.0.1:9091"),
            ("origin", "http://localhost:9090"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(post(header), Err(Refusal::ForeignOrigin), "{header:?}");
        }
    }
}

#[test]
fn what_a_form_can_send_changes_nothing() {
    let guard = guard("127.0.0.1:9090", None).unwrap();
    let post = |kind| {
        checked(
            &guard,
            "POST /oracles/o/rollback",
            &[HOST, ("content-type", kind)],
        )
    };
    for kind in ["application/json", "Application/JSON; charset=utf-8"] {
        assert_eq!(post(kind), Ok(()), "{kind}");
    }
    for kind in [
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/plain",
        "text/plain; application/json",
        "application/jsonp",
        "",
    ] {
        assert_eq!(post(kind), Err(Refusal::NotJson), "{kind}");
    }
    let untyped = checked(&guard, "POST /oracles/o/rollback", &[HOST]);
    assert_eq!(untyped, Err(Refusal::NotJson));
}
