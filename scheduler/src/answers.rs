//! How long a peer takes to answer, as TCP learns it of a path (RFC 6298).

use std::time::Duration;

use super::tuning::Tuning;

/// What answers took: the smoothed time, and how far they are from it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Answers {
    /// In seconds; none before the first answer.
    learned: Option<(f64, f64)>,
}

impl Answers {
    /// An answer took so long.
    pub(super) fn learn(&mut self, took: Duration, t: &Tuning) {
        let took = took.as_secs_f64();
        self.learned = Some(match self.learned {
            None => (took, took / 2.0),
            Some((smoothed, deviation)) => (
                smoothed + (took - smoothed) * t.answer_gain,
                deviation + ((took - smoothed).abs() - deviation) * t.deviation_gain,
            ),
        });
    }

    /// What takes longer is late; none before the first answer.
    pub(super) fn patience(&self, t: &Tuning) -> Option<Duration> {
        let (smoothed, deviation) = self.learned?;
        Duration::try_from_secs_f64(smoothed + t.deviations * deviation).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answers_ms: &[u64]) -> u128 {
        let (mut answers, t) = (Answers::default(), Tuning::default());
        answers_ms.iter().for_each(|&ms| answers.learn(Duration::from_millis(ms), &t));
        answers.patience(&t).map_or(0, |patience| patience.as_millis())
    }

    /// Worked out by hand from RFC 6298, 2.2 and 2.3.
    #[test]
    fn the_times_of_rfc_6298() {
        assert_eq!(after(&[]), 0);
        assert_eq!(after(&[400]), 400 + 4 * 200);
        assert_eq!(after(&[400, 800]), 450 + 4 * 250);
        assert!(after(&[400; 50]) < 402, "who is steady is late soon");
        assert!(after(&[200, 1000].repeat(25)) > 1800, "and who is not, is not");
    }
}
