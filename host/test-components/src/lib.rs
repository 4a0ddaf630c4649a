//! Components for tests, written by hand: each does one thing wrong, and none
//! needs a compiler for wasm32.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise, its helpers too"
)]

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const WIT: &str = include_str!("../../../wit/oracle.wit");

/// Every entry gets this score.
pub fn constant(score: f64) -> Vec<u8> {
    judging(&format!("(local.set $score (f64.const {score}))"))
}

/// What becomes of an entry depends on the first character of its id.
pub fn misbehaving() -> Vec<u8> {
    judging(
        r#"
        (if (call $is (i32.const 0x74)) (then (unreachable)))                    ;; t
        (if (call $is (i32.const 0x6c)) (then (loop $for_ever (br $for_ever))))  ;; l
        (if (call $is (i32.const 0x6d))                                          ;; m
          (then (drop (memory.grow (i32.const 4096)))))
        (if (call $is (i32.const 0x62))                                          ;; b
          (then (drop (table.grow (ref.null func) (i32.const 1000000)))))
        (if (call $is (i32.const 0x72)) (then (call $recurse (i32.const 1))))    ;; r
        (if (call $is (i32.const 0x6e)) (then (local.set $score (f64.const nan))))
        (if (call $is (i32.const 0x37)) (then (local.set $score (f64.const 7)))) ;; 7
        (if (call $is (i32.const 0x66)) (then (local.set $few (i32.const 1))))   ;; f
        (if (call $is (i32.const 0x65)) (then (local.set $err (i32.const 1))))   ;; e
        (if (call $is (i32.const 0x63))                                          ;; c
          (then (local.set $score (f64.mul (f64.const 0.125) (global.get $count)))))
        (if (call $is (i32.const 0x77))                                          ;; w
          (then (loop $talk
            (call $log (i32.const 16) (i32.const 4) (i32.const 32) (i32.const 16))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $talk (i32.lt_u (local.get $n) (i32.const 1000))))))
        (if (call $is (i32.const 0x6f)) (then (local.set $output (i32.const 65537)))) ;; o
        (if (call $is (i32.const 0x78))                                          ;; x
          (then (drop (memory.grow (i32.const 800)))
                (local.set $output (i32.const 50000000))))
        (if (call $is (i32.const 0x73))                                          ;; s
          (then
            (call $setting (i32.const 48) (i32.const 5) (i32.const 64))
            (if (i32.load8_u (i32.const 64)) (then
              (local.set $score (f64.div
                (f64.convert_i32_u (i32.sub
                  (i32.load8_u (i32.load (i32.const 68))) (i32.const 0x30)))
                (f64.const 10)))))))
        "#,
    )
}

/// Traps on every entry. Two of another `version` are not the same component.
pub fn breaks(version: u32) -> Vec<u8> {
    judging(&format!("(drop (i32.const {version})) (unreachable)"))
}

/// Answers every entry with an error.
pub fn refuses() -> Vec<u8> {
    judging("(local.set $err (i32.const 1))")
}

/// Traps before anybody asks it anything.
pub fn traps_at_start() -> Vec<u8> {
    component(WIT, &module("", "(func $boom unreachable) (start $boom)"))
}

/// Built against a contract that this host does not know.
pub fn of_another_version() -> Vec<u8> {
    let wit = WIT.replace("@0.1.0", "@0.2.0");
    component(&wit, &module("", "").replace("@0.1.0", "@0.2.0"))
}

/// Its verdict lacks the output, and it asks settings for a number.
pub fn of_another_shape() -> Vec<u8> {
    let wit = WIT.replace("output: option<string>,", "").replace(
        "get: func(key: string) -> option<string>;",
        "get: func(key: u32) -> u32;",
    );
    let module = module("", "").replace(
        r#""get" (func $setting (param i32 i32 i32))"#,
        r#""get" (func $setting (param i32) (result i32))"#,
    );
    component(&wit, &module)
}

/// Judges as it should, and exports 10,000 functions that nobody asked for.
pub fn with_many_exports() -> Vec<u8> {
    let exports: String = (0..10_000)
        .map(|n| format!("(func (export \"unasked-{n}\"))"))
        .collect();
    component(WIT, &module("", &exports))
}

/// A component of 10,000 exports, and none of them is `judge`.
pub fn with_the_wrong_exports() -> Vec<u8> {
    let exports: String = (0..10_000)
        .map(|n| format!("(export \"unasked-{n}\" (func $f))"))
        .collect();
    let text = format!(
        r#"(component
          (core module $m (func (export "f")))
          (core instance $i (instantiate $m))
          (func $f (canon lift (core func $i "f")))
          {exports})"#
    );
    wat::parse_str(text).unwrap()
}

/// Judges as it should, and carries 50 MB that nobody reads.
pub fn of_fifty_megabytes(score: f64) -> Vec<u8> {
    const LENGTH: u32 = 50_000_000;
    let mut bytes = constant(score);
    bytes.push(0); // a custom section
    let mut length = LENGTH;
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80); // LEB128
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(b"\x04junk");
    bytes.resize(bytes.len() + LENGTH as usize - 5, 0x2a);
    bytes
}

/// Wants to make connections.
pub fn with_sockets() -> Vec<u8> {
    wanting(
        "wasi:sockets/tcp-create-socket@0.2.3",
        "package wasi:sockets@0.2.3 { interface tcp-create-socket { open: func(family: u32) -> u32; } }",
        r#""open" (func (param i32) (result i32))"#,
    )
}

/// Waits on a timer of an hour, then scores by the random source: 0 bits, 0.0.
pub fn waiting_for_an_hour() -> Vec<u8> {
    let wit = WIT.replace(
        "import log;",
        "import log; import wasi:io/poll@0.2.3; import wasi:clocks/monotonic-clock@0.2.3; import wasi:random/random@0.2.3;",
    ) + "
        package wasi:io@0.2.3 { interface poll {
          resource pollable { block: func(); } } }
        package wasi:clocks@0.2.3 { interface monotonic-clock {
          use wasi:io/poll@0.2.3.{pollable};
          now: func() -> u64;
          subscribe-duration: func(when: u64) -> own<pollable>; } }
        package wasi:random@0.2.3 { interface random { get-random-u64: func() -> u64; } }";
    let imports = r#"
        (import "wasi:io/poll@0.2.3" "[method]pollable.block" (func $block (param i32)))
        (import "wasi:clocks/monotonic-clock@0.2.3" "now" (func $now (result i64)))
        (import "wasi:clocks/monotonic-clock@0.2.3" "subscribe-duration"
          (func $subscribe (param i64) (result i32)))
        (import "wasi:random/random@0.2.3" "get-random-u64" (func $random (result i64)))"#;
    let judge = r#"
        (call $block (call $subscribe (i64.const 3600000000000)))
        (local.set $score (f64.convert_i64_u (i64.or (call $random) (call $now))))"#;
    let module = module(judge, "").replacen("(module", &format!("(module {imports}"), 1);
    component(&wit, &module)
}

/// A module as compilers write them, before it is made a component.
pub fn core_module() -> Vec<u8> {
    wat::parse_str("(module)").unwrap()
}

fn judging(entry: &str) -> Vec<u8> {
    component(WIT, &module(entry, ""))
}

fn wanting(interface: &str, package: &str, function: &str) -> Vec<u8> {
    let wit = WIT.replace("import log;", &format!("import log; import {interface};")) + package;
    let import = format!(r#"(module (import "{interface}" {function})"#);
    component(&wit, &module("", "").replacen("(module", &import, 1))
}

/// `entry` is run for each entry and may set $score, $err, $few and $output.
/// An answer takes 48 bytes: the case at 0, the score or error at 8, reasons
/// at 16, output at 24, attributes at 36.
fn module(entry: &str, more: &str) -> String {
    format!(
        r#"(module
  (import "floodgate:oracle/settings@0.1.0" "get" (func $setting (param i32 i32 i32)))
  (import "floodgate:oracle/log@0.1.0" "write" (func $log (param i32 i32 i32 i32)))
  (memory (export "memory") 4)
  (table 1 funcref)
  (data (i32.const 16) "info")
  (data (i32.const 32) "hello from wasm!")
  (data (i32.const 48) "score")
  (global $free (mut i32) (i32.const 1024))
  (global $count (mut f64) (f64.const 0))
  (global $id (mut i32) (i32.const 0))
  {more}
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func $is (param i32) (result i32)
    (i32.eq (i32.load8_u (global.get $id)) (local.get 0)))
  (func $recurse (param i32) (call $recurse (i32.add (local.get 0) (i32.const 1))) (call $recurse (i32.const 1)))
  (func (export "judge") (param $entries i32) (param $len i32) (result i32)
    (local $i i32) (local $at i32) (local $score f64) (local $output i32)
    (local $err i32) (local $few i32) (local $n i32)
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $i) (local.get $len)))
      (global.set $id (i32.load (i32.add (local.get $entries) (i32.mul (local.get $i) (i32.const 32)))))
      (global.set $count (f64.add (global.get $count) (f64.const 1)))
      (local.set $score (f64.const 0.5))
      (local.set $output (i32.const 0))
      (local.set $err (i32.const 0))
      {entry}
      (local.set $at (i32.add (i32.const 65536) (i32.mul (local.get $i) (i32.const 48))))
      (if (local.get $err)
        (then
          (i32.store8 (local.get $at) (i32.const 1))
          (i32.store offset=8 (local.get $at) (i32.const 32))
          (i32.store offset=12 (local.get $at) (i32.const 5)))
        (else
          (f64.store offset=8 (local.get $at) (local.get $score))
          (i32.store8 offset=24 (local.get $at) (i32.ne (local.get $output) (i32.const 0)))
          (i32.store offset=28 (local.get $at) (i32.const 131072))
          (i32.store offset=32 (local.get $at) (local.get $output))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
    (i32.store (i32.const 0) (i32.const 65536))
    (i32.store (i32.const 4) (i32.sub (local.get $len) (local.get $few)))
    (i32.const 0)))"#
    )
}

fn component(wit: &str, module: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("oracle.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("oracle")).unwrap();
    let mut core = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default()
        .validate(true)
        .module(&core)
        .unwrap()
        .encode()
        .unwrap()
}
