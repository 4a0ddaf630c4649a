use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::{Method, Request, Response, StatusCode};

use floodgate_flow::Digest;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JS: &str = "text/javascript; charset=utf-8";

/// (path, type, text)
type File = (&'static str, &'static str, &'static str);

/// The page's own files, each under its name.
macro_rules! files {
    ($($content_type:ident $name:literal),* $(,)?) => {
        &[$((
            concat!("/dashboard/", $name),
            $content_type,
            include_str!(concat!("page/", $name)),
        )),*]
    };
}

const INDEX: File = ("/", HTML, include_str!("page/index.html"));
const FILES: &[File] = files![
    CSS "style.css",
    SVG "icon.svg",
    JS "api.js",
    JS "app.js",
    JS "dead.js",
    JS "decisions.js",
    JS "dialogs.js",
    JS "dom.js",
    JS "flows.js",
    JS "format.js",
    JS "oracles.js",
    JS "pending.js",
    JS "post.js",
    JS "spark.js",
    JS "stream.js",
    JS "table.js",
    JS "why.js",
];

/// A file of the page; `None` where the path is none of its.
pub(crate) fn page<B>(request: &Request<B>) -> Option<Response<Full<Bytes>>> {
    if request.method() != Method::GET {
        return None;
    }
    let path = request.uri().path();
    let mut files = std::iter::once(&INDEX).chain(FILES);
    let (_, content_type, text) = files.find(|(known, ..)| *known == path)?;
    // Asked for again each time, and sent again only by another Floodgate.
    let tag = format!("\"{:.16}\"", Digest::of(text.as_bytes()));
    let known = request.headers().get(IF_NONE_MATCH);
    let fresh = known.is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = Response::new(match fresh {
        true => Full::default(),
        false => Full::from(*text),
    });
    if fresh {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.extend(HeaderValue::try_from(tag).ok().map(|tag| (ETAG, tag)));
    Some(response)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::INDEX;
    use floodgate_flow::FaultKind;

    #[test]
    fn dead_letters_of_each_fault_can_be_looked_for() {
        let (_, _, page) = INDEX;
        let (_, faults) = page.split_once("<select name=\"fault\">").unwrap();
        let (faults, _) = faults.split_once("</select>").unwrap();
        let options = faults.split("<option>").skip(1);
        let offered: BTreeSet<&str> = options
            .map(|option| option.split_once("</option>").unwrap().0)
            .collect();
        assert_eq!(offered, FaultKind::ALL.map(FaultKind::as_str).into());
    }
}
