//! How hard to compress: as hard as can be while the disk that is read sets the pace.

use ezio_frames::MAX_LEVEL;

/// Where it begins: what zstd does by itself.
const BEGIN: i32 = 3;
/// Frames between two looks: some megabytes, so that one slow moment of the disk says nothing.
const FRAMES: usize = 32;

/// The level of the frames to come.
#[derive(Debug)]
pub(crate) struct Level {
    now: i32,
    fixed: bool,
    seen: usize,
    /// Of those, how often all places in the queue were taken, and how often none was.
    full: usize,
    empty: usize,
}

impl Level {
    /// This one for all of them, or what the queue asks for.
    pub(crate) fn new(fixed: Option<i32>) -> Self {
        Self { now: fixed.unwrap_or(BEGIN), fixed: fixed.is_some(), seen: 0, full: 0, empty: 0 }
    }

    /// The level of a frame that finds so many others in the queue before it, which has `depth` places.
    pub(crate) fn of_next(&mut self, queued: usize, depth: usize) -> i32 {
        self.seen += 1;
        self.full += usize::from(queued >= depth);
        self.empty += usize::from(queued == 0);
        if self.seen == FRAMES && !self.fixed {
            // Down at once, up by and by: who reads should never wait for long.
            if self.full > FRAMES / 2 {
                self.now = (self.now / 2).max(1);
            } else if self.empty > FRAMES * 3 / 4 {
                self.now = (self.now + 1).min(MAX_LEVEL);
            }
        }
        if self.seen == FRAMES {
            (self.seen, self.full, self.empty) = (0, 0, 0);
        }
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The levels that come of reading at this pace, where compressing a frame takes as long as its level says.
    fn levels(level: Option<i32>, milliseconds_to_read: i32) -> Vec<i32> {
        let (depth, mut queue, mut free_at, mut now) = (4, Vec::new(), 0, 0);
        let mut level = Level::new(level);
        let mut levels = Vec::new();
        for _ in 0..100 * FRAMES {
            now += milliseconds_to_read;
            queue.retain(|begins| *begins > now);
            let taken = level.of_next(queue.len(), depth);
            levels.push(taken);
            if queue.len() == depth {
                now = queue.remove(0);
            }
            free_at = now.max(free_at) + taken;
            queue.push(free_at - taken);
        }
        levels.split_off(50 * FRAMES)
    }

    #[test]
    fn the_level_is_as_high_as_the_disk_allows() {
        assert!(levels(None, 0).iter().all(|level| *level == 1));
        assert!(levels(None, 100).iter().all(|level| *level == MAX_LEVEL));
        let between = levels(None, 6);
        let mean = between.iter().sum::<i32>() as f64 / between.len() as f64;
        assert!((4.0..7.5).contains(&mean), "{mean}");
        assert!(levels(Some(9), 0).iter().all(|level| *level == 9));
    }
}
