//! What is asked of cold files and hot rows together.

mod files;
mod limits;
mod long;
mod overtaken;
mod rig;
mod service;
mod shares;
mod statistics;
