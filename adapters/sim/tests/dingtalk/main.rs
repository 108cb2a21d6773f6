//! Contract of the simulated DingTalk, over HTTP: what it pushes, what it serves, what it refuses.

mod cards;
mod faults;
mod messages;
mod pushes;
mod support;
mod vectors;
