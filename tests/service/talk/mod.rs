//! Conversations and cards: the turn with a real store and worker, between a board and scripted engines.

mod cards;
mod commands;
mod hall;
mod memory;
mod speaking;
mod waiting;
