//! Names the parts of a flow's stream.

use super::{Flow, FlowName};

/// One partition of a flow's stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Partition {
    pub flow: FlowName,
    pub index: u16,
}

/// Returns all partitions of a flow.
pub fn partitions(flow: &Flow) -> impl Iterator<Item = Partition> {
    let name = flow.name.clone();
    (0..flow.stream.partitions).map(move |index| Partition {
        flow: name.clone(),
        index,
    })
}

/// Identifies the content of a partition: if the backbone loses it, `born` changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landmark {
    /// A unique name that the backbone gave the partition when the partition was first
    /// prepared.
    pub born: String,
    /// How many entries are open.
    pub open: u64,
}
