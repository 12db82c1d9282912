//! `sextant demo --exit` as a newcomer runs it, twice on one folder.
//!
//! Expected numbers: DuckDB 1.5.5, `select policy, count(*), sum(click) from
//! 'obd_impressions.parquet' group by 1`: bts 30000 157, random 30000 130; distinct segments and
//! items likewise. The test of both policies: z = 1.5976, p = 0.1101 by hand (pooled proportions;
//! of 10,000 a side in campaign men 69 and 46 clicks, p = 0.0315); Holm's correction by hand.
//! Segments in a ramp of a tenth and of a half: mmh3 5.3.1, of those of policy bts.

use std::process::Command;

/// The numbers of each line that starts with `word`.
fn lines<'a>(output: &'a str, word: &str) -> Vec<Vec<&'a str>> {
    let words = output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words.filter(|words| words.first() == Some(&word)).collect()
}

/// A line for each number of connections: requests, a rate, three percentiles, the budget.
fn requests_are_timed(text: &str) {
    let (_, timed) = text.split_once("as one prepared statement").expect("a heading");
    for connections in ["1", "16"] {
        let line = lines(timed, connections).pop().expect("a line");
        let numbers: Vec<f64> = line.iter().map(|word| word.parse().expect("a number")).collect();
        let [_, requests, rate, p50, p95, p99, budget] = numbers[..] else { panic!("{timed}") };
        assert!(requests >= 1.0 && rate >= 0.0 && budget == 100.0, "{timed}");
        assert!(0.0 < p50 && p50 <= p95 && p95 <= p99, "{timed}");
    }
}

#[test]
fn the_demo_runs_and_runs_again() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let output = Command::new(env!("CARGO_BIN_EXE_sextant"))
            .args(["demo", "--exit", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}\n{errors}");
        assert!(lines(&text, "bts").contains(&vec!["bts", "30000", "157", "0.523"]), "{text}");
        assert!(
            lines(&text, "random").contains(&vec!["random", "30000", "130", "0.433"]),
            "{text}"
        );
        // Inside the transaction the clicks are gone, after ROLLBACK they are back.
        assert!(lines(&text, "random").contains(&vec!["random", "0"]), "{text}");
        assert!(lines(&text, "random").contains(&vec!["random", "130"]), "{text}");
        // DuckDB: hours of (campaign, item_id) with impressions of policy bts, and those of item 17
        // in campaign all that are over by 2019-11-26 12:00.
        assert!(lines(&text, "item_clicks").contains(&vec!["item_clicks", "8582", "00:00:00"]));
        assert!(lines(&text, "17").contains(&vec!["17", "8", "0", "PRESENT"]), "{text}");
        assert!(lines(&text, "30000").contains(&vec!["30000", "309", "160", "157"]), "{text}");
        // A fifth of the week is tested on.
        for (version, alias, kind) in [("1", "champion", "logistic"), ("2", "candidate", "gbdt")] {
            let line = vec![version, alias, kind, "24000", "6000"];
            assert!(lines(&text, version).contains(&line), "{text}");
        }
        assert!(lines(&text, "160").contains(&vec!["160", "160", "16"]), "{text}");
        let recommended: Vec<_> =
            lines(&text, "women").into_iter().filter(|words| words.len() == 5).collect();
        assert_eq!(recommended.len(), 5, "{text}");
        assert!(recommended.is_sorted_by(|a, b| a[2] >= b[2]), "{text}");
        let in_all = vec!["(in", "all)", "30000", "30000", "0.2077", "0.1101", "0.3304"];
        assert_eq!(lines(&text, "(in")[0][..7], in_all, "{text}");
        let men = vec!["men", "10000", "10000", "0.5000", "0.0315", "0.1259"];
        assert_eq!(lines(&text, "men")[0][..6], men, "{text}");
        requests_are_timed(&text);
        // A training set made again differs in no row from itself.
        assert!(lines(&text, "0").contains(&vec!["0"]), "{text}");
        assert!(lines(&text, "309").contains(&vec!["309", "35", "147", "0"]), "{text}");
        // The rows deleted in step 8 are there in the last step, which reads the past.
        assert_eq!(lines(&text, "random").last(), Some(&vec!["random", "30000"]), "{text}");
    }
}
