//! Finds free loopback ports.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// The first port of the range. The range lies below the ports that the kernel takes for outgoing
/// connections, so that no client's connection can take a port between the choice here and the
/// server's bind.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Returns a port that nothing listens on. This process never returns a port twice until the range
/// is used up. Another process may still take the port first; the caller then tries again with
/// another port.
pub fn free_port() -> Result<u16> {
    // Test binaries that run at the same time start at different places.
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + offset).context("the port range fits 16 bits")?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no free loopback port in {FIRST}..{}", FIRST + COUNT)
}
