//! Migrations are embedded at compile time: a new file has to trigger a build.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
