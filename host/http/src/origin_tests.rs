use super::*;

fn headers(named: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in named {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn origins(texts: &[&str]) -> Origins {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    Origins::parse(&texts).unwrap()
}

/// Whether a request of these headers is refused where no page is allowed.
fn refused(named: &[(&'static str, &str)]) -> bool {
    origins(&[]).refuse(&headers(named), &Uri::from_static("/tasks"))
}

#[test]
fn what_is_no_browser_is_never_refused() {
    assert!(!refused(&[]));
    assert!(!refused(&[("host", "flood.example:8000")]));
}

#[test]
fn where_a_browser_says_where_a_page_is_from_only_that_counts() {
    let host = ("host", "flood.example");
    for site in ["same-origin", "none"] {
        // A proxy may have given it another Host.
        let origin = ("origin", "https://public.example");
        assert!(
            !refused(&[host, ("sec-fetch-site", site), origin]),
            "{site}"
        );
    }
    for site in ["cross-site", "same-site", "", "Same-Origin", "nonsense"] {
        let origin = ("origin", "https://flood.example");
        assert!(refused(&[host, ("sec-fetch-site", site)]), "{site}");
        assert!(refused(&[host, ("sec-fetch-site", site), origin]), "{site}");
    }
}

#[test]
fn an_older_browser_is_judged_by_host_and_port_of_its_origin() {
    for (host, origin) in [
        ("flood.example", "https://flood.example"),
        ("flood.example", "http://flood.example"),
        ("Flood.Example:443", "https://flood.example"),
        ("flood.example", "http://flood.example:80"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
    ] {
        assert!(!refused(&[("host", host), ("origin", origin)]), "{origin}");
    }
    for (host, origin) in [
        ("flood.example", "null"),
        ("flood.example", ""),
        ("flood.example", "flood.example"),
        ("flood.example", "https://evil.example"),
        ("flood.example", "https://flood.example.evil.example"),
        ("flood.example", "https://flood.example:8443"),
        ("flood.example:8000", "http://flood.example"),
        ("localhost:8000", "http://127.0.0.1:8000"),
        ("not a host", "http://flood.example"),
    ] {
        assert!(refused(&[("host", host), ("origin", origin)]), "{origin}");
    }
    let own = ("origin", "http://flood.example");
    assert!(refused(&[own]), "HTTP/1.0 names nobody");
    let both = [
        ("host", "flood.example"),
        own,
        ("origin", "http://evil.example"),
    ];
    assert!(refused(&both));
}

#[test]
fn the_target_names_this_host_before_the_header_does() {
    let target = Uri::from_static("http://flood.example:8000/tasks");
    let named = [
        ("host", "other.example"),
        ("origin", "http://flood.example:8000"),
    ];
    assert!(!origins(&[]).refuse(&headers(&named), &target));
    let named = [
        ("host", "other.example"),
        ("origin", "http://other.example"),
    ];
    assert!(origins(&[]).refuse(&headers(&named), &target));
}

#[test]
fn pages_that_cors_allows_may_post() {
    let allowed = origins(&["https://app.example", "null"]);
    let refused = |named: &[(&'static str, &str)]| {
        allowed.refuse(&headers(named), &Uri::from_static("http://flood.example/"))
    };
    let cross = ("sec-fetch-site", "cross-site");
    for origin in ["https://app.example", "null"] {
        assert!(!refused(&[cross, ("origin", origin)]), "{origin}");
        assert!(!refused(&[("origin", origin)]), "{origin}");
    }
    for origin in ["https://app.example:8443", "http://app.example"] {
        assert!(refused(&[cross, ("origin", origin)]), "{origin}");
        assert!(refused(&[("origin", origin)]), "{origin}");
    }
    assert!(refused(&[cross]), "it does not say whose page it is");
    let two = [cross, ("origin", "null"), ("origin", "http://app.example")];
    assert!(refused(&two));
    let all = origins(&["*"]);
    assert!(!all.refuse(&headers(&[cross]), &Uri::from_static("/")));
}

#[test]
fn an_origin_is_written_as_browsers_send_it() {
    for text in ["https://example.com", "http://127.0.0.1:3000", "null", "*"] {
        assert!(Origins::parse(&[text.to_owned()]).is_ok(), "{text}");
    }
    for text in [
        "",
        "example.com",
        "https://example.com/",
        "https://Example.com",
        "https://user@example.com",
        "Null",
    ] {
        let parsed = Origins::parse(&["null".to_owned(), text.to_owned()]);
        assert_eq!(parsed.err(), Some(NotAnOrigin(2)), "{text}");
    }
}

#[test]
fn http_1_1_names_its_host_once() {
    let (host, none) = (headers(&[("host", "a")]), HeaderMap::new());
    let two = headers(&[("host", "a"), ("host", "a")]);
    assert_eq!(check_host(Version::HTTP_11, &host), Ok(()));
    assert_eq!(check_host(Version::HTTP_11, &none), Err(NoHost));
    assert_eq!(check_host(Version::HTTP_11, &two), Err(NoHost));
    assert_eq!(check_host(Version::HTTP_10, &none), Ok(()));
    assert_eq!(check_host(Version::HTTP_2, &none), Ok(()));
}
