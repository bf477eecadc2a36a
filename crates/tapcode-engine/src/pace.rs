//! How fast may one sender send? A steady pace with a second's burst, lowered for a while when its provider says that it
//! was too fast. Each process keeps its own: what slips through two of them is refused by the provider and tried again.

use std::sync::{Mutex, PoisonError};

use tapcode_core::step::CALL_PUT_OFF_MAX_MS;
use tapcode_core::time::Timestamp;

/// How much may go at once, in microseconds of the pace: what the provider counts per second may come in one moment of it.
const BURST_US: u64 = 1_000_000;
/// For how long a sender that was too fast goes at half its pace. Milliseconds.
const SLOWED_MS: u64 = 60_000;
/// How far ahead messages that wait are given turns, in microseconds.
const AHEAD_US: u64 = CALL_PUT_OFF_MAX_MS * 1_000;

/// One sender's pace.
#[derive(Debug, Default)]
pub struct Pace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Up to when the pace is used up, in microseconds since 1970.
    used_up_to_us: u64,
    /// Up to when turns were given to messages that wait, in microseconds since 1970.
    turns_up_to_us: u64,
    slowed_until: Option<Timestamp>,
}

impl Pace {
    /// Takes a place for one message now, at so many messages a second.
    ///
    /// # Errors
    /// There is none; the message's turn comes after so many milliseconds.
    pub fn take(&self, messages_per_second: u32, now: Timestamp) -> Result<(), u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slowed = state.slowed_until.is_some_and(|until| now < until);
        let per_second = u64::from(messages_per_second.max(1)) * 2 / if slowed { 4 } else { 2 };
        let now_us = micros(now);
        let from_us = state.used_up_to_us.max(now_us);
        let next_us = from_us.saturating_add(1_000_000 / per_second.max(1));
        // A clock that was set back must not hold a sender up for longer than a burst.
        if next_us > now_us.saturating_add(BURST_US) {
            state.used_up_to_us = state.used_up_to_us.min(now_us.saturating_add(BURST_US));
            return Err(state.turn(per_second, now_us));
        }
        state.used_up_to_us = next_us;
        Ok(())
    }

    /// After how many milliseconds a message that found no place should look again, when so many a second may.
    pub fn put_off(&self, per_second: u32, now: Timestamp) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.turn(per_second.into(), micros(now))
    }

    /// The provider said that it was too fast.
    pub fn slow_down(&self, now: Timestamp) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.slowed_until = Some(now.plus_millis(SLOWED_MS));
    }
}

impl State {
    /// The next turn of a message that waits, milliseconds from now on: each has one of its own, so that of a thousand that
    /// wait not all look again at once, and each look is a commit. A turn is a hint: who comes then may find no place.
    fn turn(&mut self, per_second: u64, now_us: u64) -> u64 {
        let turn_us = self.turns_up_to_us.max(now_us).saturating_add(1_000_000 / per_second.max(1));
        // Neither what gave up its turn nor a clock that was set back moves the others' into the far future.
        self.turns_up_to_us = turn_us.min(now_us.saturating_add(AHEAD_US));
        self.turns_up_to_us.saturating_sub(now_us).div_ceil(1_000)
    }
}

fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(0).saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pace: &Pace, per_second: u32, from_ms: i64, to_ms: i64) -> usize {
        (from_ms..to_ms)
            .map(|ms| {
                let now = Timestamp::from_millis(ms);
                (0..100).take_while(|_| pace.take(per_second, now).is_ok()).count()
            })
            .sum()
    }

    #[test]
    fn a_sender_keeps_its_pace_and_a_burst_is_one_seconds_worth() {
        let pace = Pace::default();
        assert_eq!(taken(&pace, 80, 1_000_000, 1_000_001), 80);
        assert_eq!(taken(&pace, 80, 1_000_001, 1_005_001), 400);
        // A quiet time saves up no more than a burst.
        assert_eq!(taken(&pace, 80, 2_000_000, 2_000_001), 80);
    }

    #[test]
    fn a_sender_that_was_too_fast_goes_at_half_its_pace_for_a_while() {
        let pace = Pace::default();
        taken(&pace, 80, 1_000_000, 1_000_001);
        pace.slow_down(Timestamp::from_millis(1_000_001));
        assert_eq!(taken(&pace, 80, 1_000_001, 1_010_001), 400);
        taken(&pace, 80, 1_010_001, 1_100_000);
        assert_eq!(taken(&pace, 80, 1_100_000, 1_101_000), 80);
    }

    #[test]
    fn a_clock_that_is_set_back_holds_nobody_up() {
        let pace = Pace::default();
        pace.take(80, Timestamp::from_millis(9_000_000)).unwrap();
        pace.put_off(80, Timestamp::from_millis(9_000_000));
        let wait_ms = pace.take(80, Timestamp::from_millis(1_000_000)).unwrap_err();
        assert_eq!(wait_ms, CALL_PUT_OFF_MAX_MS);
        pace.take(80, Timestamp::from_millis(1_000_100)).unwrap();
    }

    #[test]
    fn those_who_wait_come_again_one_after_the_other() {
        let pace = Pace::default();
        let now = Timestamp::from_millis(1_000_000);
        taken(&pace, 100, 1_000_000, 1_000_001);
        let turns: Vec<u64> = (0..300).map(|_| pace.take(100, now).unwrap_err()).collect();
        assert_eq!(turns[..4], [10, 20, 30, 40]);
        assert_eq!(turns[299], 3_000);
        // However many wait, nobody's turn is further away than that.
        assert_eq!(
            (0..300).map(|_| pace.take(100, now).unwrap_err()).max(),
            Some(CALL_PUT_OFF_MAX_MS)
        );
        // And when they come, there is a place for each.
        let came = turns.iter().filter(|turn| pace.take(100, now.plus_millis(**turn)).is_ok());
        assert_eq!(came.count(), 300);
    }
}
