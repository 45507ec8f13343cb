//! Numbers from the environment, memory, bytes read from files, load averages and quantiles.

use std::time::Duration;

use anyhow::{Context, Result};

/// Returns a number from the environment, or `default` when the variable is unset or not a number.
pub fn wanted(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Returns the peak resident memory of a process in bytes, since [`forget_peak`] or its start. The
/// kernel keeps the peak, so no peak is too short to be seen.
pub fn peak_resident_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next());
    Ok(kilobytes.context("the process has no memory")?.parse::<u64>()? * 1024)
}

/// Resets the peak of a process to what is resident now.
pub fn forget_peak(pid: u32) -> Result<()> {
    Ok(std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

/// Returns the text that is printed behind a goal.
pub fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "NOT MET" }
}

/// Returns the machine's load averages, so that numbers from a busy machine can be recognised.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Returns the middle value, or the mean of the two middle values; NaN for no values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

/// Returns the duration that a share `q` of the sorted durations does not exceed.
pub fn quantile(sorted: &[Duration], q: f64) -> Duration {
    let at = (sorted.len().saturating_sub(1) as f64 * q).ceil() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// Describes the distribution of durations. Sorts them.
pub fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let [min, p50, p99, max] = [0.0, 0.5, 0.99, 1.0].map(|q| quantile(times, q));
    format!("min {min:.1?}, p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}")
}

/// Returns the bytes that a process has read from files since its start, whether from disk or from
/// the page cache.
pub fn bytes_read(pid: u32) -> Result<u64> {
    let counters = std::fs::read_to_string(format!("/proc/{pid}/io"))?;
    let read = counters.lines().find_map(|line| line.strip_prefix("rchar: "));
    Ok(read.context("the kernel does not count what is read")?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_tail_are_where_they_should_be() {
        assert_eq!(median(&[3.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median(&[4.0, 1.0]).to_bits(), 2.5_f64.to_bits());
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(quantile(&times, 1.0), Duration::from_millis(100));
        assert_eq!(quantile(&times, 0.0), Duration::from_millis(1));
        assert_eq!(quantile(&times, 0.99), Duration::from_millis(100));
    }
}
