//! Every store port on Postgres and on SQLite; the only crate with SQL.
