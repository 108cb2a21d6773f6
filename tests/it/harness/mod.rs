//! What the tests stand on: a started service, the world around it, and ways to wait and to look.
//!
//! | module | what it is |
//! | --- | --- |
//! | `stage` | one test's world: both simulated platforms, a model endpoint, a database, a service |
//! | `service` | the real `magpie` as a process of its own: started, killed, stopped, started again |
//! | `endpoint` | a scripted OpenAI-compatible model endpoint |
//! | `database` | a fresh SQLite file or Postgres database, and a look into its tables |
//! | `seat` | a place in a chat from which a test speaks and sees answers, the same on both platforms |
//! | `traffic` | many people at once, seeded |
//! | `wait` | waiting for a condition, never for a time |

pub mod database;
pub mod endpoint;
pub mod script;
pub mod seat;
pub mod service;
pub mod stage;
pub mod traffic;
pub mod wait;

pub use database::Backing;
pub use endpoint::Endpoint;
pub use script::{Gate, Script};
pub use seat::Seat;
pub use service::Service;
pub use stage::{Plan, Stage};
pub use wait::eventually;
