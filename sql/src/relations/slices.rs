//! Slices of a report: everything, and each slice by itself, in one grouping.

use crate::functions::literal;

/// Name and value of the slice, and the grouping: everything, then each slice by itself.
pub(super) fn grouped(slices: &[String]) -> (String, String, String) {
    if slices.is_empty() {
        return ("NULL::text".into(), "NULL::text".into(), String::new());
    }
    let case = |value: &dyn Fn(usize) -> String| {
        let arms: Vec<String> = (0..slices.len())
            .map(|i| format!("WHEN grouping(s{i}) = 0 THEN {}", value(i)))
            .collect();
        format!("CASE {} ELSE NULL END", arms.join(" "))
    };
    let sets: Vec<String> = (0..slices.len()).map(|i| format!("(s{i})")).collect();
    (
        case(&|i| literal(&slices[i])),
        case(&|i| format!("s{i}::text")),
        format!("GROUP BY GROUPING SETS ((), {})", sets.join(", ")),
    )
}
