//! Loads a component: it is refused, or it is an oracle.
#![no_main]

use std::sync::{Arc, LazyLock};

use floodgate_oracle_host::{Engine, EngineOptions, Oracle};
use libfuzzer_sys::fuzz_target;

static ENGINE: LazyLock<Arc<Engine>> = LazyLock::new(|| {
    let options = EngineOptions {
        cache: None,
        ..EngineOptions::default()
    };
    Arc::new(Engine::new(&options).unwrap())
});

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = Oracle::load(&ENGINE, bytes) {
        assert!(!error.to_string().is_empty());
    }
});
