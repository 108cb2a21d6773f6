//! The contract suites, on SQLite always and on Postgres where `TEST_DATABASE_URL` names a server.

#[expect(dead_code, reason = "shared by several test binaries")]
mod support;

mod sqlite {
    magpie_core::inbox_contract!(crate::support::sqlite_fixture);
    magpie_core::store_contract!(crate::support::sqlite_fixture);
    magpie_core::topics_contract!(crate::support::sqlite_fixture);
    magpie_core::versions_contract!(crate::support::sqlite_fixture);
    magpie_core::waiting_contract!(crate::support::sqlite_fixture);
    magpie_core::meter_contract!(crate::support::sqlite_fixture);
}

mod postgres {
    magpie_core::inbox_contract!(crate::support::postgres_fixture);
    magpie_core::store_contract!(crate::support::postgres_fixture);
    magpie_core::topics_contract!(crate::support::postgres_fixture);
    magpie_core::versions_contract!(crate::support::postgres_fixture);
    magpie_core::waiting_contract!(crate::support::postgres_fixture);
    magpie_core::meter_contract!(crate::support::postgres_fixture);
}
