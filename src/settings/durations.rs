//! Durations as settings have them: read in any unit, shown in the largest that fits.

/// `5000`, `1.5s`, `2 min`.
pub(super) fn milliseconds(value: &str) -> Option<u64> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    let number: f64 = value.get(..digits)?.parse().ok()?;
    let scale = match value.get(digits..)?.trim() {
        "us" => 0.001,
        "" | "ms" => 1.0,
        "s" => 1e3,
        "min" => 60e3,
        "h" => 3600e3,
        "d" => 86_400e3,
        _ => return None,
    };
    let scaled = (number * scale).round();
    (scaled <= LONGEST_MS).then_some(scaled as u64)
}

/// What Postgres has room for times a thousand, milliseconds: 68 years.
const LONGEST_MS: f64 = 2_147_483_647e3;

/// A duration as Postgres shows it: in the largest unit that leaves no rest.
pub(super) fn duration_text(milliseconds: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)];
    match units.into_iter().find(|(_, scale)| milliseconds.is_multiple_of(*scale)) {
        _ if milliseconds == 0 => "0".to_owned(),
        Some((unit, scale)) => format!("{}{unit}", milliseconds / scale),
        None => format!("{milliseconds}ms"),
    }
}
