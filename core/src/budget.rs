//! How often an app may call its platform. Counted in the store, so all instances share it.
