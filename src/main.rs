//! The `magpie` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    magpie::cli::run()
}
