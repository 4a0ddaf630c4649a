use anyhow::Context;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// One keep-alive connection, opened when it is needed.
pub(super) struct Connection {
    target: Uri,
    sender: Option<SendRequest<Full<Bytes>>>,
}

pub(super) struct Answer {
    pub status: StatusCode,
    pub replayed: bool,
}

impl Connection {
    pub fn new(target: Uri) -> Self {
        Self {
            target,
            sender: None,
        }
    }

    /// # Errors
    /// Says what failed; whether the entry was accepted is not known then.
    pub async fn post(&mut self, body: Bytes) -> anyhow::Result<Answer> {
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await?,
        };
        let request = Request::post(self.target.path())
            .header(HOST, self.target.authority().map_or("", |a| a.as_str()))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        sender.ready().await.context("connection lost")?;
        let response = sender.send_request(request).await.context("no answer")?;
        let answer = Answer {
            status: response.status(),
            replayed: response.headers().contains_key("idempotent-replayed"),
        };
        response
            .into_body()
            .collect()
            .await
            .context("answer cut short")?;
        self.sender = Some(sender);
        Ok(answer)
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let host = self.target.host().context("the address names no host")?;
        let port = self.target.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((host, port))
            .await
            .context("no connection")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its errors come back from the request that they hit.
        tokio::spawn(connection);
        Ok(sender)
    }
}
