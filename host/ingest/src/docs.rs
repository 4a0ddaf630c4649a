//! A page on which a person can try the calls: Swagger UI, out of this binary.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use tracing::error;
use utoipa_swagger_ui::Config;

use super::{Refusal, Response};
use floodgate_http::browser::{SWAGGER_UI, harden};

/// Seen from the page, so that it works behind a prefix too.
const DOCUMENT: &str = "../openapi.json";

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::from(DOCUMENT)
        .use_base_layout()
        .try_it_out_enabled(true)
        .display_request_duration(true)
        // It would ask a service on the internet.
        .validator_url("none");
    Arc::new(config)
});

/// The browser asks for the page's files beside it: without the slash that
/// would be somewhere else.
pub(super) fn page(path: &str) -> Result<Response, Refusal> {
    if path.ends_with('/') {
        return file("index.html");
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::from_static("docs/"));
    Ok(response)
}

pub(super) fn file(name: &str) -> Result<Response, Refusal> {
    let found = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG));
    let found = found.unwrap_or_else(|error| {
        error!(name, %error, "file of the page for the API not made");
        None
    });
    let file = found.ok_or(Refusal::NotFound)?;
    let mut response = Response::new(
        match file.bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        }
        .into(),
    );
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    harden(headers, SWAGGER_UI);
    if let Ok(media_type) = HeaderValue::try_from(file.content_type) {
        headers.insert(CONTENT_TYPE, media_type);
    }
    Ok(response)
}
