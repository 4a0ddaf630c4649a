//! Where the servers are that a host works with.

use clap::Args;

use floodgate_http::client::with_causes;
use floodgate_ledger::{self as ledger, Postgres, SCHEMA};

/// Where the Redis of the backbone is.
#[derive(Clone, Debug, Args)]
pub struct BackboneSettings {
    /// Redis of the backbone, such as redis://localhost:6379
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,
}

/// Where the Postgres of the ledger is.
#[derive(Clone, Debug, Args)]
pub struct LedgerSettings {
    /// Postgres of the ledger, such as postgres://user:password@localhost/floodgate;
    /// else POSTGRES_HOST, _PORT, _USER, _PASSWORD and _DB
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

    /// The same database past a pooler such as PgBouncer, for migrations [default: as --database-url]
    #[arg(long, env = "DATABASE_DIRECT_URL", hide_env_values = true)]
    pub database_direct_url: Option<String>,

    /// Schema that a new installation makes its tables in; an older one is used where it lies
    #[arg(long, env = "FLOODGATE_DATABASE_SCHEMA", default_value = SCHEMA, value_parser = schema_name)]
    pub database_schema: String,
}

/// A name that needs no quotes in SQL: people write it by hand.
fn schema_name(text: &str) -> Result<String, String> {
    let mut bytes = text.bytes();
    let begins = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let goes_on =
        bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    match begins && goes_on && text.len() <= 63 && !text.starts_with("pg_") {
        true => Ok(text.to_owned()),
        false => Err(
            "write small letters, digits and _, a letter first, 63 at most, and no pg_ in front"
                .to_owned(),
        ),
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(
        "no Redis is named: set REDIS_URL or --redis-url, such as redis://localhost:6379; \
         floodgate dev needs neither Redis nor Postgres"
    )]
    NoRedis,
    #[error(
        "no Postgres is named: set DATABASE_URL or --database-url, such as \
         postgres://user:password@localhost/floodgate, or POSTGRES_HOST and its kin; \
         floodgate dev needs neither Redis nor Postgres"
    )]
    NoPostgres,
    /// Never quotes it.
    #[error(
        "the URL of Postgres (DATABASE_URL, --database-url) is not one: {0}; write \
         postgres://user:password@localhost/floodgate"
    )]
    PostgresUrl(String),
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
}

impl BackboneSettings {
    pub fn url(&self) -> Result<&str, SettingsError> {
        let url = self.redis_url.as_deref().filter(|url| !url.is_empty());
        url.ok_or(SettingsError::NoRedis)
    }
}

impl LedgerSettings {
    /// The ledger, which opens nothing yet.
    ///
    /// # Errors
    /// Only where what is written is none.
    pub fn postgres(&self, connections: usize) -> Result<Postgres, SettingsError> {
        let ledger = Postgres::connect(self.config()?, connections)?;
        let ledger = ledger.in_schema(&self.database_schema);
        let direct = self.database_direct_url.as_ref();
        Ok(match direct.filter(|url| !url.is_empty()) {
            Some(url) => {
                let parsed = url.parse();
                let direct =
                    parsed.map_err(|error| SettingsError::PostgresUrl(unquoted(&error)))?;
                ledger.migrating_on(direct)
            }
            None => ledger,
        })
    }

    pub fn config(&self) -> Result<tokio_postgres::Config, SettingsError> {
        let named = self.database_url.as_ref().filter(|url| !url.is_empty());
        if let Some(url) = named {
            let parsed = url.parse();
            return parsed.map_err(|error| SettingsError::PostgresUrl(unquoted(&error)));
        }
        let host = self
            .postgres_host
            .as_ref()
            .ok_or(SettingsError::NoPostgres)?;
        let user = self.postgres_user.as_deref().unwrap_or("postgres");
        let mut config = tokio_postgres::Config::new();
        config
            .host(host)
            .port(self.postgres_port.unwrap_or(5432))
            .user(user)
            .dbname(self.postgres_db.as_deref().unwrap_or(user));
        if let Some(password) = &self.postgres_password {
            config.password(password);
        }
        Ok(config)
    }
}

/// Says what is wrong with a URL of Postgres, without the pieces of it that the
/// driver quotes.
fn unquoted(error: &tokio_postgres::Error) -> String {
    let told = with_causes(error);
    let pieces = told.split('`').enumerate();
    let shown = pieces.map(|(at, piece)| if at % 2 == 1 { "***" } else { piece });
    shown.collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> LedgerSettings {
        LedgerSettings {
            database_url: None,
            postgres_host: None,
            postgres_port: None,
            postgres_user: None,
            postgres_password: None,
            postgres_db: None,
            database_direct_url: None,
            database_schema: SCHEMA.to_owned(),
        }
    }

    #[test]
    fn without_a_database_the_error_says_what_to_set() {
        let error = none().config().unwrap_err().to_string();
        assert!(error.contains("DATABASE_URL"), "{error}");
    }

    #[test]
    fn the_parts_of_an_address_make_one() {
        let settings = LedgerSettings {
            postgres_host: Some("db".into()),
            postgres_user: Some("risk".into()),
            postgres_password: Some("secret".into()),
            ..none()
        };
        let config = settings.config().unwrap();
        assert_eq!(config.get_user(), Some("risk"));
        assert_eq!(config.get_dbname(), Some("risk"));
        assert_eq!(config.get_ports(), [5432]);
    }

    #[test]
    fn a_url_that_is_none_is_refused_and_not_quoted() {
        for url in [
            "postgres://host:secret/db",
            "postgres://user:secret@host:1/db?secret=1",
            "secret",
            "secret secret",
            "secret=secret",
            "port=secret",
        ] {
            let settings = LedgerSettings {
                database_url: Some(url.into()),
                ..none()
            };
            let error = settings.config().unwrap_err();
            assert!(matches!(error, SettingsError::PostgresUrl(_)), "{url}");
            let told = error.to_string();
            assert!(told.contains("DATABASE_URL"), "{told}");
            assert!(!told.contains("secret"), "{told}");
        }
    }
}
