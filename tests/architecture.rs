//! The one-way rule: adapters see only the core, the core sees nobody, nobody sees the server.

use std::collections::BTreeSet;
use std::process::Command;

/// Our crates that `crate_name` names as normal dependencies, by cargo's own account.
fn own_dependencies(crate_name: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal",
            "--depth",
            "1",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .args(["--package", crate_name])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo tree {crate_name}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    let names = text.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| name.starts_with("magpie")).map(str::to_owned).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn crates_import_only_what_they_may() {
    let adapters = ["magpie-dingtalk", "magpie-feishu", "magpie-store", "magpie-cloud", "magpie-documents"];
    for adapter in adapters {
        assert_eq!(
            own_dependencies(adapter),
            set(&["magpie-core"]),
            "{adapter} may import the core and nothing else of ours"
        );
    }
    assert_eq!(
        own_dependencies("magpie-candle"),
        set(&["magpie-core", "magpie-kernels"]),
        "magpie-candle may import the core and its own kernels"
    );
    assert_eq!(own_dependencies("magpie-kernels"), set(&[]), "the kernels know no models, and nothing else of ours");
    assert_eq!(own_dependencies("magpie-core"), set(&[]), "the core imports none of our crates");
    assert_eq!(own_dependencies("magpie-sim"), set(&[]), "the simulated platforms share no code with us");
}

#[test]
fn the_core_knows_no_web_no_database_and_no_model() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--package", "magpie-core"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    for line in text.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        assert!(
            !["actix", "sqlx", "reqwest", "candle", "hyper"].iter().any(|banned| name.starts_with(banned)),
            "magpie-core depends on {name}"
        );
    }
}
