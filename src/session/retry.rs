//! A statement outside a block that met a conflict runs again: how often, and after which pause.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often it runs again.
pub(super) const LIMIT: u32 = 200;
/// Longest pause before running again.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Longer with every attempt, and not the same for all who wait.
pub(super) fn pause(attempt: u32) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let part = f64::from(now.map_or(0, |now| now.subsec_nanos()) % 1000) / 1000.0;
    LONGEST_PAUSE.min(Duration::from_millis(1 << attempt.min(6))).mul_f64(part)
}
