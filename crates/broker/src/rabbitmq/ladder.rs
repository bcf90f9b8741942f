//! The delay ladder: any delay as a sum of powers of two.
//!
//! Level *n* is a queue that holds its messages for 2ⁿ units and hands them down. A message's routing key says for each
//! level, the highest first, whether it waits there (`1`) or goes past (`0`), and at last where to. A message goes in at
//! its highest level. So any delay needs a few of a fixed set of queues, and no message stands before another that is
//! due sooner: all messages of a queue wait equally long.
//!
//! A level costs the server a move of the message. So delays are rounded up to four levels at most. Where that would be
//! late by seconds they are rounded down instead, and what is left is made by a second way through.

use std::fmt::Write as _;
use std::time::Duration;

use ringback_core::Timestamp;

/// One step: what level 0 holds its messages for.
pub(super) const UNIT_MS: u32 = 250;

/// The same as a time.
pub(super) const UNIT: Duration = Duration::from_millis(UNIT_MS as u64);

/// How many levels there are. The longest delay is 15 · 2¹⁸ units: 11 days.
pub(super) const LEVELS: u32 = 22;

/// So many levels a delay goes through at most.
const LEVELS_EACH_MAX: u32 = 4;

/// A delay the ladder can make: 1 to 2²²−1 units, with at most four bits set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Delay(u32);

/// What is rounded up is late by so many units at most: 5 s.
const LATE_MAX: u32 = 20;

/// When and how something becomes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// It already is.
    None,
    /// The ladder holds it long enough.
    Whole(Delay),
    /// Further away than the ladder reaches, or than it measures well enough: it comes out too early, and has to go in
    /// again.
    Part(Delay),
}

impl Delay {
    /// The longest that there is.
    pub(super) const MAX: Self = Self(0b1111 << (LEVELS - LEVELS_EACH_MAX));

    /// So many units or a little more: at most a fourteenth. None if the ladder does not reach as far.
    fn at_least(units: u64) -> Option<Self> {
        if units > u64::from(Self::MAX.0) {
            return None;
        }
        let mut units = u32::try_from(units).expect("it is not above the maximum").max(1);
        while units.count_ones() > LEVELS_EACH_MAX {
            // The lowest bit carries into the next ones, until there are few enough.
            units += 1 << units.trailing_zeros();
        }
        Some(Self(units))
    }

    /// So many units or a little less: by an eighth at most, and the longest that there is where the ladder does not
    /// reach as far.
    fn at_most(units: u64) -> Self {
        let mut units = u32::try_from(units).unwrap_or(u32::MAX).min(Self::MAX.0);
        while units.count_ones() > LEVELS_EACH_MAX {
            units &= units - 1;
        }
        Self(units)
    }

    /// Where it goes in: its highest level.
    pub(super) fn level(self) -> u32 {
        self.0.ilog2()
    }

    /// The routing key that lets it wait this long and ends at `address`, which is one word.
    pub(super) fn routing_key(self, address: &str) -> String {
        let mut key = String::with_capacity(2 * LEVELS as usize + address.len());
        for level in (0..LEVELS).rev() {
            let bit = self.0 >> level & 1;
            write!(key, "{bit}.").expect("a string takes everything");
        }
        key.push_str(address);
        key
    }

    #[cfg(test)]
    fn units(self) -> u32 {
        self.0
    }
}

/// How long what is due at `due` has to wait from `now` on: never too short.
pub(super) fn wait(due: Timestamp, now: Timestamp) -> Wait {
    let left = due.since(now);
    if left.is_zero() {
        return Wait::None;
    }
    let units = left.as_millis().div_ceil(u128::from(UNIT_MS));
    let units = u64::try_from(units).unwrap_or(u64::MAX);
    let is_near = |delay: &Delay| u64::from(delay.0) - units <= u64::from(LATE_MAX);
    match Delay::at_least(units).filter(is_near) {
        Some(delay) => Wait::Whole(delay),
        None => Wait::Part(Delay::at_most(units)),
    }
}

/// How long at the most a message with this routing key, which is in the queue of this level, has still to wait: this
/// level and those below.
pub(super) fn left_at_most(routing_key: &str, level: u32) -> Duration {
    // The words are levels, the highest first; the last one is no level.
    let words: Vec<_> = routing_key.split('.').take(LEVELS as usize).collect();
    let waits = |level: u32| {
        let place = (LEVELS - 1 - level) as usize;
        words.get(place).is_some_and(|word| *word == "1")
    };
    (0..=level).filter(|level| waits(*level)).map(|level| UNIT * (1 << level)).sum()
}

/// What the queue of a level is bound to its exchange with.
pub(super) fn waits_here(level: u32) -> String {
    binding(level, '1')
}

/// What the next exchange below is bound to the exchange of a level with.
pub(super) fn goes_past(level: u32) -> String {
    binding(level, '0')
}

fn binding(level: u32, bit: char) -> String {
    format!("{}{bit}.#", "*.".repeat((LEVELS - 1 - level) as usize))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_767_323_045_678);

    fn units(left: Duration) -> u32 {
        match wait(NOW + left, NOW) {
            Wait::Whole(delay) => delay.units(),
            other => unreachable!("{left:?}: {other:?}"),
        }
    }

    #[test]
    fn usual_delays_are_exact() {
        for seconds in [1, 5, 13, 30, 60, 300, 3_600] {
            let exact = seconds * 1_000 / u64::from(UNIT_MS);
            assert_eq!(u64::from(units(Duration::from_secs(seconds))), exact, "{seconds} s");
        }
    }

    #[test]
    fn begun_unit_is_a_whole_one() {
        assert_eq!(units(Duration::from_millis(1)), 1);
        assert_eq!(units(Duration::from_millis(250)), 1);
        assert_eq!(units(Duration::from_millis(251)), 2);
    }

    #[test]
    fn what_is_due_does_not_wait() {
        assert_eq!(wait(NOW, NOW), Wait::None);
        assert_eq!(wait(Timestamp::EPOCH, NOW), Wait::None);
    }

    #[test]
    fn what_is_too_far_waits_as_long_as_the_ladder_reaches() {
        let most = UNIT * Delay::MAX.units();
        assert_eq!(units(most), Delay::MAX.units());
        assert!(most > Duration::from_secs(11 * 24 * 60 * 60));
        let further = NOW + most + Duration::from_millis(1);
        assert_eq!(wait(further, NOW), Wait::Part(Delay::MAX));
        assert_eq!(wait(Timestamp::from_ms(i64::MAX), NOW), Wait::Part(Delay::MAX));
    }

    #[test]
    fn what_is_left_is_this_level_and_those_below() {
        let key = Delay::at_least(0b1011).expect("in reach").routing_key("x.y");
        for (level, units) in [(3, 0b1011), (1, 0b11), (0, 1)] {
            assert_eq!(left_at_most(&key, level), UNIT * units, "{level}");
        }
        assert_eq!(left_at_most("returned", 3), Duration::ZERO);
    }

    #[test]
    fn routing_key_names_the_levels_from_the_highest() {
        let delay = Delay::at_least(5).expect("in reach");
        assert_eq!(delay.level(), 2);
        assert_eq!(delay.routing_key("x"), format!("{}1.0.1.x", "0.".repeat(19)));
        assert_eq!(waits_here(LEVELS - 1), "1.#");
        assert_eq!(goes_past(LEVELS - 3), "*.*.0.#");
    }

    /// What the bindings of the ladder do with a message: where it waits, by level.
    fn walk(delay: Delay) -> Vec<u32> {
        let key = delay.routing_key("x");
        let words: Vec<_> = key.split('.').collect();
        let matches = |pattern: &str| {
            let fixed = pattern.strip_suffix(".#").expect("all end so");
            let fits = |(have, want): (&&str, &str)| want == "*" || *have == want;
            words.iter().zip(fixed.split('.')).all(fits)
        };
        let mut waited = Vec::new();
        for level in (0..=delay.level()).rev() {
            let (here, past) = (matches(&waits_here(level)), matches(&goes_past(level)));
            assert!(here != past, "one way on from each level");
            if here {
                waited.push(level);
            }
        }
        waited
    }

    /// The ways through the ladder until it is due, and how late that is.
    fn ways(left: Duration) -> (u32, Duration) {
        let due = NOW + left;
        let (mut now, mut ways) = (NOW, 0);
        loop {
            let delay = match wait(due, now) {
                Wait::None => return (ways, now.since(due)),
                Wait::Whole(delay) | Wait::Part(delay) => delay,
            };
            ways += 1;
            now = now + UNIT * delay.units();
        }
    }

    #[test]
    fn what_is_due_in_a_year_goes_through_some_forty_times_and_comes_within_seconds() {
        const DAY: u64 = 24 * 60 * 60;
        for (left_s, ways_max) in
            [(3_607, 2), (DAY, 2), (7 * DAY + 12_345, 3), (365 * DAY, 40), (366 * DAY, 40)]
        {
            let (ways, late) = ways(Duration::from_secs(left_s));
            assert!(ways <= ways_max, "{left_s} s: {ways} ways");
            assert!(late <= Duration::from_secs(5), "{left_s} s: {late:?} late");
        }
    }

    proptest! {
        #[test]
        fn delay_is_never_too_short_and_hardly_longer(ms in 1..=u64::from(Delay::MAX.0) * 250) {
            let whole_units = ms.div_ceil(u64::from(UNIT_MS));
            match wait(NOW + Duration::from_millis(ms), NOW) {
                Wait::None => return Err(TestCaseError::fail("it is not due")),
                Wait::Whole(delay) => {
                    let units = u64::from(delay.units());
                    prop_assert!(units >= whole_units);
                    prop_assert!(units - whole_units <= (whole_units / 8).min(LATE_MAX.into()));
                }
                // What is left is little, so it is soon done.
                Wait::Part(delay) => {
                    let units = u64::from(delay.units());
                    prop_assert!(units < whole_units);
                    prop_assert!(whole_units - units <= whole_units / 8);
                }
            }
        }

        #[test]
        fn delay_is_the_sum_of_at_most_four_levels(ms in 1..=2 * u64::from(Delay::MAX.0) * 250) {
            let (Wait::Whole(delay) | Wait::Part(delay)) = wait(NOW + Duration::from_millis(ms), NOW)
            else {
                return Err(TestCaseError::fail("it is not due"));
            };
            let waited = walk(delay);
            prop_assert!(waited.len() <= 4);
            prop_assert_eq!(waited.iter().map(|level| 1 << level).sum::<u32>(), delay.units());
        }
    }
}
