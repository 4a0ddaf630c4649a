//! Ledgers with the tables of the host's migrations, and what is in them.

mod postgres;
mod rig;

use std::fs;
use std::path::Path;

pub use self::postgres::{connect, database};
pub use self::rig::{Entry, Kind, Rig, all_hot};

/// In their order.
pub fn migrations(kind: &str) -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../migrations")
        .join(kind);
    let files = fs::read_dir(&directory)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.map(|file| (number(&file), file)).collect();
    files.sort();
    files
        .iter()
        .map(|(_, file)| fs::read_to_string(file).unwrap())
        .collect()
}

/// Of `V12__name.sql`.
fn number(file: &Path) -> u32 {
    let name = file.file_name().unwrap().to_str().unwrap();
    name.strip_prefix('V')
        .unwrap()
        .split("__")
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// Makes a test of each function that takes a rig, on each ledger.
#[macro_export]
macro_rules! on_each_ledger {
    ($($name:ident)*) => {
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::support::Rig::new($crate::support::Kind::Postgres).await).await;
            })*
        }
        mod embedded {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::support::Rig::new($crate::support::Kind::Embedded).await).await;
            })*
        }
    };
}
