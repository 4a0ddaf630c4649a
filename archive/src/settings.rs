//! Which ledger, which flow files, which cold tier.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::cold::{self, Store};
use crate::ledger::{self, Embedded, Ledger, Postgres, SCHEMA};

/// What every command takes.
#[derive(Args, Debug)]
pub struct PlaceSettings {
    /// Postgres of the ledger, such as postgres://user:password@localhost/floodgate;
    /// else POSTGRES_HOST, _PORT, _USER, _PASSWORD and _DB; else the ledger is
    /// the embedded one of --data-dir
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    #[arg(long, env = "POSTGRES_HOST", hide = true)]
    pub postgres_host: Option<String>,
    #[arg(long, env = "POSTGRES_PORT", hide = true)]
    pub postgres_port: Option<u16>,
    #[arg(long, env = "POSTGRES_USER", hide = true)]
    pub postgres_user: Option<String>,
    #[arg(long, env = "POSTGRES_PASSWORD", hide = true, hide_env_values = true)]
    pub postgres_password: Option<String>,
    #[arg(long, env = "POSTGRES_DB", hide = true)]
    pub postgres_db: Option<String>,
    /// The same database past a pooler such as PgBouncer, which the archive cannot
    /// work through; it is used instead of --database-url
    #[arg(long, env = "DATABASE_DIRECT_URL", hide_env_values = true)]
    pub database_direct_url: Option<String>,
    /// Schema of the ledger's tables, as the host has it
    #[arg(long, env = "FLOODGATE_DATABASE_SCHEMA", default_value = SCHEMA)]
    pub database_schema: String,
    /// Data directory of an embedded Floodgate
    #[arg(long, env = "FLOODGATE_DATA_DIR", default_value = "data")]
    pub data_dir: PathBuf,
    /// Directory of the flow files
    #[arg(long, env = "FLOODGATE_FLOWS", default_value = "flows")]
    pub flows: PathBuf,
    /// Where cold files are: a directory, or a URL such as s3://bucket/prefix
    /// with credentials in the usual AWS_ variables; cold in --data-dir by default
    #[arg(long, env = "FLOODGATE_COLD")]
    pub cold: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Without the URL, which has a password.
    #[error("--database-url is none: {0}; write postgres://user:password@localhost/floodgate")]
    DatabaseUrl(tokio_postgres::Error),
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error(transparent)]
    Cold(#[from] cold::Error),
}

impl PlaceSettings {
    /// # Errors
    /// Only where what is written is none: nothing is asked yet.
    pub fn ledger(&self) -> Result<Arc<dyn Ledger>, SettingsError> {
        Ok(match self.postgres()? {
            Some(config) => Arc::new(Postgres::connect_in(config, &self.database_schema)?),
            None => Arc::new(Embedded::new(&self.data_dir)),
        })
    }

    /// # Errors
    /// Where it is no place that files can be in.
    pub fn store(&self) -> Result<Store, SettingsError> {
        let beside = || self.data_dir.join("cold").to_string_lossy().into_owned();
        let place = self.cold.clone().unwrap_or_else(beside);
        Ok(Store::open(&place, std::env::vars())?)
    }

    fn postgres(&self) -> Result<Option<tokio_postgres::Config>, SettingsError> {
        let named = |value: &Option<String>| value.clone().filter(|value| !value.trim().is_empty());
        if let Some(url) = named(&self.database_direct_url).or_else(|| named(&self.database_url)) {
            return url.parse().map(Some).map_err(SettingsError::DatabaseUrl);
        }
        let Some(host) = named(&self.postgres_host) else {
            return Ok(None);
        };
        let user = named(&self.postgres_user).unwrap_or_else(|| "postgres".to_owned());
        let mut config = tokio_postgres::Config::new();
        config
            .host(host)
            .port(self.postgres_port.unwrap_or(5432))
            .dbname(named(&self.postgres_db).unwrap_or_else(|| user.clone()))
            .user(user);
        if let Some(password) = named(&self.postgres_password) {
            config.password(password);
        }
        Ok(Some(config))
    }
}
