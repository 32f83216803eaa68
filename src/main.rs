//! The command line of Statera.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
