//! What a client hears while a statement takes its time: how far its training is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sql::models::{Stage, UnderWay};
use sql::parse::OfModel;
use sql::{Own, Parsed};

use super::{Notice, Session};
use crate::run::Prepared;

/// Longest pause between two lines.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Lines of a statement under way. Each pause is twice the one before: a short training is silent,
/// one of hours has some dozens of lines.
pub struct Progress {
    under_way: Arc<UnderWay>,
    began: Instant,
    pause: Duration,
    before: Option<Stage>,
}

impl Session {
    /// Lines for a statement that may train a model, if its client wants to hear any.
    pub fn progress(&self, prepared: &Prepared) -> Option<Progress> {
        let Parsed::Own(own) = &prepared.statement.parsed else { return None };
        if !matches!(own.as_ref(), Own::Models(OfModel::Create(_))) {
            return None;
        }
        let settings = self.read_settings().ok()?;
        let pause = settings.duration("sextant.progress_interval")?;
        let under_way = self.engine.config().get_extension::<UnderWay>()?;
        let progress = Progress { under_way, began: Instant::now(), pause, before: None };
        settings.tells("NOTICE").then_some(progress)
    }
}

impl Progress {
    /// The next line, when it is time.
    pub async fn next(&mut self) -> Notice {
        loop {
            tokio::time::sleep(self.pause).await;
            self.pause = (2 * self.pause).min(LONGEST_PAUSE);
            if let Some(stage) = self.under_way.stage(self.began.elapsed()) {
                let line = stage.line(self.before.as_ref());
                self.before = Some(stage);
                return sql::Notice::notice(line).into();
            }
        }
    }
}
