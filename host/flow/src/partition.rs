//! Names the parts of a flow's stream.

use super::{Flow, FlowName};

/// One partition of a flow's stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Partition {
    pub flow: FlowName,
    pub index: u16,
}

/// All of a flow.
pub fn partitions(flow: &Flow) -> impl Iterator<Item = Partition> {
    let name = flow.name.clone();
    (0..flow.stream.partitions).map(move |index| Partition {
        flow: name.clone(),
        index,
    })
}

/// What tells one life of a partition from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landmark {
    /// Made when the partition was first prepared; another one means that the
    /// backbone lost what it held.
    pub born: String,
    pub open: u64,
}
