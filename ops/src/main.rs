//! The executable `tidegate`: reads what is wanted, does it, and says by its exit code how it went.
use clap::Parser;
use ops::cli::Cli;
use std::process::ExitCode;

/// An answer is made on one thread and let go on another, a few dozen small pieces each, and so is
/// a record of librdkafka: mimalloc takes over `malloc` too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // clap ends the process itself: 0 after --help, 2 on wrong use.
    let cli = Cli::parse();
    match ops::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.exit_code())
        }
    }
}
