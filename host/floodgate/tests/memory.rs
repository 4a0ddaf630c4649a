//! What trapped instances leave behind in the host's memory. A process of its
//! own: other tests would be measured along.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise, its helpers too"
)]

use std::sync::Arc;
use std::time::Duration;

use floodgate_flow::{Entry, FaultKind, OracleLimits, OracleSettings};
use floodgate_oracle_host::{Engine, EngineOptions, Oracle};

const MISBEHAVING: &[u8] = include_bytes!("components/misbehaving.wasm");

/// Resident bytes of this process; proc_pid_statm(5), in pages of 4 KiB.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn ten_thousand_trapped_instances_leave_no_memory_behind() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let oracle = Oracle::load(&engine, MISBEHAVING).unwrap();
    let settings = Arc::new(OracleSettings::default());
    let limits = OracleLimits {
        memory: 64 << 20,
        timeout: Duration::from_secs(10),
    };
    let judge = |what: &str, expected: FaultKind| {
        let entry = Entry {
            id: what.into(),
            body: format!(r#"{{"do":"{what}"}}"#).into(),
            received_at: 0,
            attributes: Arc::default(),
        };
        let fault = oracle.judge(&[&entry], &settings, limits).unwrap_err();
        assert_eq!(fault.kind, expected, "{}", fault.error);
    };
    let trap = |times: u32| {
        for number in 0..times {
            judge("trap", FaultKind::Trap);
            // Touching 64 MiB takes a while.
            if number % 100 == 0 {
                judge("memory", FaultKind::Memory);
            }
        }
    };
    trap(1_000);
    let before = resident();
    trap(9_000);
    let grown = resident().saturating_sub(before);
    assert!(grown <= 5 << 20, "{grown} bytes more");
}
