//! `client_min_messages`: the least severity of what a client is told beside its answers.

use super::Settings;

/// From the least on.
const SEVERITIES: [&str; 9] =
    ["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"];

/// For the hint of an error.
pub(super) const AVAILABLE: &str =
    "Available values: debug5, debug4, debug3, debug2, debug1, log, notice, warning, error.";

/// A severity as SHOW spells it.
pub(super) fn severity(value: &str) -> Option<String> {
    let value = value.to_lowercase();
    match value.as_str() {
        "debug" => Some("debug2".to_owned()),
        "info" => Some(value),
        other => SEVERITIES.contains(&other).then_some(value),
    }
}

impl Settings {
    /// Whether a message of this severity is sent; INFO, which was asked for, always is.
    pub fn tells(&self, severity: &str) -> bool {
        let rank =
            |name: &str| SEVERITIES.iter().position(|known| known.eq_ignore_ascii_case(name));
        let least = self.get("client_min_messages").unwrap_or("notice");
        // Between LOG and NOTICE, where INFO has no rank of its own.
        let least = rank(least).or_else(|| rank("notice"));
        severity == "INFO" || rank(severity) >= least
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    /// Which levels include which: PostgreSQL 15, "client_min_messages".
    #[test]
    fn a_level_includes_the_levels_that_follow_it() {
        let mut settings = Settings::default();
        let told = |settings: &Settings| ["INFO", "NOTICE", "WARNING"].map(|s| settings.tells(s));
        assert_eq!(told(&settings), [true, true, true]);
        for (least, expected) in [
            ("debug", [true, true, true]),
            ("Notice", [true, true, true]),
            ("WARNING", [true, false, true]),
            ("error", [true, false, false]),
        ] {
            settings.set("client_min_messages", least).unwrap();
            assert_eq!(told(&settings), expected, "{least}");
        }
        let refused = settings.set("client_min_messages", "loud").unwrap_err();
        assert_eq!(refused.sqlstate, "22023");
    }
}
