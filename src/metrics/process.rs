//! The process as the kernel counts it; left out where there is no `/proc`.

use std::fmt::Write as _;

use super::{Kind, Text};

/// CPU time, memory and open files.
pub(super) fn process(out: &mut Text) {
    if let Some(micros) = cpu_micros() {
        out.head("process_cpu_seconds_total", Kind::Counter, "CPU time used, user and system.");
        // Whole microseconds, printed as seconds.
        let _ = writeln!(out.0, "process_cpu_seconds_total {}.{:06}", micros / 1_000_000, micros % 1_000_000);
    }
    if let Some(octets) = resident_octets() {
        out.single("process_resident_memory_bytes", Kind::Gauge, "Resident memory.", octets);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // The directory that is being read is one of them.
        let count = (open.count() as u64).saturating_sub(1);
        out.single("process_open_fds", Kind::Gauge, "Open files and sockets.", count);
    }
    if let Some(max) = max_open_files() {
        out.single("process_max_fds", Kind::Gauge, "Files and sockets that may be open.", max);
    }
}

/// `utime` and `stime` of `/proc/self/stat` (proc(5), fields 14 and 15), in clock ticks of which Linux has 100 a
/// second on every platform.
fn cpu_micros() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the name of the program in parentheses and may hold spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks * 10_000)
}

/// `VmRSS` of `/proc/self/status` (proc(5)), which is in kibibytes.
fn resident_octets() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// The soft limit in `/proc/self/limits` (proc(5)); `None` also where there is none.
fn max_open_files() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
