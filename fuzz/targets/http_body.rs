//! Admits a body: it is refused, or what is taken is what came.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use floodgate_flow::Flow;
use libfuzzer_sys::fuzz_target;

static FLOWS: LazyLock<Vec<Flow>> = LazyLock::new(|| {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flows");
    Flow::load_dir(shipped).unwrap()
});

fuzz_target!(|body: &[u8]| {
    let body = Bytes::copy_from_slice(body);
    for flow in &*FLOWS {
        if flow.admit.batch {
            let _admitted = flow.admit.admit_batch(&body);
        } else if let Ok(admitted) = flow.admit.admit(body.clone()) {
            let again = flow.admit.admit(admitted.body.clone()).unwrap();
            assert_eq!((again.id, again.body), (admitted.id, admitted.body));
        }
    }
});
