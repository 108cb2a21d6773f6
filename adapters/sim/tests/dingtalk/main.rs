//! Contract of the simulated DingTalk, over HTTP: what it pushes, what it serves, what it refuses.

mod attachments;
mod cards;
mod faults;
mod forms;
mod lifecycle;
mod messages;
mod pushes;
mod support;
mod vectors;
