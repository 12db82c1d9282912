//! How far a training is, in a line for the client that waits for it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use catalog::registry::{Run, Told, Training};

/// The training that a session has under way, if there is one; its engine's configuration has it.
#[derive(Debug, Default)]
pub struct UnderWay(Mutex<Weak<Training>>);

/// What a training said last, and when it was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    model: String,
    run: Option<Run>,
    told: Told,
    /// Since the statement began.
    at: Duration,
}

impl UnderWay {
    /// A training begins.
    pub(crate) fn begin(&self, training: &Arc<Training>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(training);
    }

    /// How far it is; `at` is the time since the statement began. None: none is under way.
    pub fn stage(&self, at: Duration) -> Option<Stage> {
        let training = self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade()?;
        let (run, told) = training.told();
        Some(Stage { model: training.model.clone(), run, told, at })
    }
}

impl Stage {
    /// `model "m": training, 40 of 100, loss 0.4321, at most 6 s to go`. What is to go goes as it
    /// went since the stage before; a search trains several times, and nobody knows how long.
    pub fn line(&self, before: Option<&Self>) -> String {
        let Told { phase, done, total, loss } = self.told;
        let mut line = format!("model \"{}\": ", self.model);
        if let Some(Run { number, of }) = self.run {
            line.push_str(&format!("trial run {number} of {of}, "));
        }
        line.push_str(if phase.is_empty() { "reading rows" } else { phase });
        match (done, total) {
            (0, 0) => {}
            (_, 0) => line.push_str(&format!(", {done}")),
            (_, _) => line.push_str(&format!(", {done} of {total}")),
        }
        if let Some(loss) = loss {
            line.push_str(&format!(", loss {loss:.4}"));
        }
        if let Some(seconds) = before.and_then(|before| self.to_go(before)) {
            line.push_str(&format!(", at most {seconds} s to go"));
        }
        line
    }

    fn to_go(&self, before: &Self) -> Option<u64> {
        let same = self.run.is_none() && before.run.is_none();
        let done = self.told.done.checked_sub(before.told.done).filter(|done| *done > 0)?;
        let left = self.told.total.checked_sub(self.told.done)?;
        if !same || self.told.phase != before.told.phase {
            return None;
        }
        let seconds = self.at.saturating_sub(before.at).as_secs_f64() / done as f64 * left as f64;
        Some(seconds.ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(done: u64, total: u64, seconds: u64) -> Stage {
        let told = Told { phase: "training", done, total, loss: Some(0.43211) };
        Stage { model: "m".into(), run: None, told, at: Duration::from_secs(seconds) }
    }

    #[test]
    fn a_line_says_how_far_it_is_and_what_is_to_go() {
        let (first, second) = (stage(10, 100, 2), stage(40, 100, 5));
        assert_eq!(first.line(None), "model \"m\": training, 10 of 100, loss 0.4321");
        // 30 in three seconds, 60 are left.
        let line = "model \"m\": training, 40 of 100, loss 0.4321, at most 6 s to go";
        assert_eq!(second.line(Some(&first)), line);
        let run = Some(Run { number: 2, of: 13 });
        let trial = Stage { run, told: Told { loss: None, ..second.told }, ..second };
        assert_eq!(trial.line(Some(&first)), "model \"m\": trial run 2 of 13, training, 40 of 100");
    }

    #[test]
    fn nothing_is_guessed_of_another_phase_or_without_an_end() {
        let told = |phase, done| Told { phase, done, total: 0, loss: None };
        let reading = Stage { told: told("reading rows", 5000), ..stage(0, 0, 1) };
        assert_eq!(reading.line(None), "model \"m\": reading rows, 5000");
        let more = Stage { told: told("reading rows", 9000), ..stage(0, 0, 2) };
        assert_eq!(more.line(Some(&reading)), "model \"m\": reading rows, 9000");
        let next = stage(6000, 10_000, 3);
        assert_eq!(next.line(Some(&reading)), "model \"m\": training, 6000 of 10000, loss 0.4321");
        let nothing = Stage { told: Told::default(), ..reading };
        assert_eq!(nothing.line(None), "model \"m\": reading rows");
    }

    #[test]
    fn only_what_somebody_holds_is_under_way() {
        let under_way = UnderWay::default();
        assert_eq!(under_way.stage(Duration::ZERO), None);
    }
}
