use std::sync::Arc;
use std::time::Duration;

use super::Template;

/// `[track]`: the fate of an entry, by its id.
pub struct Track {
    pub path: TrackPath,
    /// How long the fate is known to the backbone after the entry is settled.
    pub keep: Duration,
    pub states: States,
    /// The detail of the 404 for an id that nobody knows.
    pub unknown: Arc<str>,
    /// Everybody is answered, though the flow asks for an API key.
    pub open: bool,
    pub reply: Template,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackPath {
    /// A path with one segment `{id}`.
    Segment(Arc<str>),
    /// A path whose query parameter `parameter` is the id.
    Query { path: Arc<str>, parameter: Arc<str> },
}

impl TrackPath {
    /// As a router knows it; `{id}` stands for one segment.
    pub fn route(&self) -> &Arc<str> {
        match self {
            Self::Segment(path) | Self::Query { path, .. } => path,
        }
    }
}

/// How far an entry has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody works on it: it waits to be read, or for its next attempt.
    Pending,
    Processing,
    /// It is decided, and delivered where the flow delivers.
    Completed,
    /// It was given up on.
    Failed,
}

/// The flow's words for the states.
#[derive(Clone, Debug)]
pub struct States {
    pub pending: Arc<str>,
    pub processing: Arc<str>,
    pub completed: Arc<str>,
    pub failed: Arc<str>,
}

impl Default for States {
    fn default() -> Self {
        Self {
            pending: "pending".into(),
            processing: "processing".into(),
            completed: "completed".into(),
            failed: "failed".into(),
        }
    }
}

impl States {
    pub fn name(&self, state: State) -> &str {
        match state {
            State::Pending => &self.pending,
            State::Processing => &self.processing,
            State::Completed => &self.completed,
            State::Failed => &self.failed,
        }
    }
}

/// `[[health]]`: a health page of the shape that clients expect.
pub struct HealthPage {
    pub path: Arc<str>,
    /// Everybody is answered, though the flow asks for an API key.
    pub open: bool,
    pub reply: Template,
}
