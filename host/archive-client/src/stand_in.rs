//! Somebody in place of floodgate-archive, who answers as it is told to.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

/// What it was asked for, in the order of the calls: head, authorization, body.
pub type Asked = Arc<Mutex<Vec<(String, Option<String>, Value)>>>;

/// Gives everybody the same answer; its address.
pub async fn stand_in(status: u16, answer: Value) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let noted = asked.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (noted, answer) = (noted.clone(), answer.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (noted, answer) = (noted.clone(), answer.clone());
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let token = head.headers.get(AUTHORIZATION);
                    noted.lock().unwrap().push((
                        format!("{} {}", head.method, head.uri),
                        token.map(|token| token.to_str().unwrap().to_owned()),
                        serde_json::from_slice(&body).unwrap_or_default(),
                    ));
                    let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
                    *response.status_mut() = StatusCode::from_u16(status).unwrap();
                    Ok::<_, Infallible>(response)
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (url, asked)
}
