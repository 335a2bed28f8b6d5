//! One file per verb of the command line.

/// Runs the program; the exit code follows the contract (0 done, 1 no, 2 usage, 3 unreachable).
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
