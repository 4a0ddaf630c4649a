use floodgate_prove::servers;
use rustix::process::Signal;
use tokio_postgres::NoTls;

/// A Postgres with one superuser, `postgres`; see [`servers::Postgres`].
pub struct PrivatePostgres {
    server: servers::Postgres,
}

impl PrivatePostgres {
    pub async fn start() -> Self {
        Self::start_with(true).await
    }

    pub(super) async fn start_without_fsync() -> Self {
        Self::start_with(false).await
    }

    async fn start_with(fsync: bool) -> Self {
        let server = servers::Postgres::start(&std::env::temp_dir(), None, fsync).await;
        Self {
            server: server.unwrap(),
        }
    }

    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Of the database that is always there.
    pub fn url(&self) -> String {
        self.server.url()
    }

    pub async fn create_database(&self, name: &str) -> String {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        self.server.database(name)
    }

    /// As an administrator would who waits for nobody.
    pub fn stop(&mut self) {
        self.server.end(Signal::INT).unwrap();
    }

    /// As the kernel would, short of memory.
    pub fn kill(&mut self) {
        self.server.kill().unwrap();
    }

    /// Takes connections and answers nothing until [`Self::resume`].
    pub fn pause(&mut self) {
        self.server.process().unwrap().signal_family(Signal::STOP);
    }

    pub fn resume(&mut self) {
        self.server.process().unwrap().signal_family(Signal::CONT);
    }

    /// Starts it with the data and the port it had, and stops it first if it runs.
    pub async fn restart(&mut self) {
        self.server.restart().await.unwrap();
    }
}
