use floodgate_prove::{Proxy, servers};
use rustix::process::Signal;

/// A Redis as Floodgate wants it; see [`servers::Redis`].
pub struct PrivateRedis {
    server: servers::Redis,
}

impl PrivateRedis {
    pub async fn start() -> Self {
        let server = servers::Redis::start(&std::env::temp_dir(), None).await;
        Self {
            server: server.unwrap(),
        }
    }

    /// Without a database number.
    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// A name for it that another server may have later; connections that are
    /// there stay where they are.
    pub async fn proxy(&self) -> Proxy {
        Proxy::start(self.port()).await.unwrap()
    }

    /// Makes `next` the primary, and this one its replica, without an end of any
    /// connection.
    pub async fn hand_over_to(&self, next: &Self) {
        // Else Redis waits five seconds for further replicas.
        let at_once = ["CONFIG", "SET", "repl-diskless-sync-delay", "0"];
        tell_redis(&self.url(), &at_once).await;
        self.server.hand_over_to(&next.server).await.unwrap();
    }

    /// As an administrator would.
    #[allow(dead_code, reason = "the tests of the backbone come with the backbone")]
    pub fn stop(&mut self) {
        self.server.end(Signal::TERM).unwrap();
    }

    /// As the kernel would.
    pub fn kill(&mut self) {
        self.server.end(Signal::KILL).unwrap();
    }

    /// Takes connections and answers nothing until [`Self::resume`].
    pub fn pause(&mut self) {
        self.server.process().unwrap().signal(Signal::STOP);
    }

    pub fn resume(&mut self) {
        self.server.process().unwrap().signal(Signal::CONT);
    }

    /// Starts it with the data and the port it had, and stops it first if it runs.
    pub async fn restart(&mut self) {
        self.server.restart().await.unwrap();
    }
}

/// Has it do this, whatever it answers.
pub async fn tell_redis(url: &str, command: &[&str]) {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut call = redis::cmd(command[0]);
    let asked: Result<redis::Value, _> = call.arg(&command[1..]).query_async(&mut connection).await;
    asked.unwrap();
}
