//! From numbers to heights.

/// A share in whole numbers: this is all.
pub(super) const PER_MILLE: u64 = 1_000;

/// The most ticks above zero.
const TICKS_MAX: u64 = 4;

/// An axis that begins with zero and has round numbers on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    /// From one tick to the next.
    step: u64,
    /// Above zero.
    ticks: u64,
}

impl Scale {
    /// For shares, from nothing to [`PER_MILLE`].
    pub(super) const WHOLE: Self = Self { step: PER_MILLE / 2, ticks: 2 };

    /// A scale with room for this number.
    pub(super) fn up_to(most: u64) -> Self {
        let most = most.max(1);
        let mut decade = 1_u64;
        loop {
            for round in [1, 2, 5] {
                let step = decade.saturating_mul(round);
                if step.saturating_mul(TICKS_MAX) >= most {
                    return Self { step, ticks: most.div_ceil(step) };
                }
            }
            decade = decade.saturating_mul(10);
        }
    }

    /// The numbers on it, the highest first.
    pub(super) fn ticks(self) -> impl Iterator<Item = u64> + Clone {
        (0..=self.ticks).rev().map(move |tick| self.step.saturating_mul(tick))
    }

    /// How high a number stands where the axis is `height` high. What there is any of is seen.
    pub(super) fn height_of(self, number: u64, height: u64) -> u64 {
        share_of(number, self.step.saturating_mul(self.ticks), height)
    }
}

/// A part of `height`, as much of it as `part` is of `most`: at least 2 if it is anything, as less can't be seen.
pub(super) fn share_of(part: u64, most: u64, height: u64) -> u64 {
    const LEAST: u64 = 2;
    if part == 0 {
        return 0;
    }
    let share = u128::from(part) * u128::from(height) / u128::from(most.max(1));
    u64::try_from(share).unwrap_or(height).clamp(LEAST, height)
}

/// A number as short as an axis wants it: `250k`.
pub(super) fn short(number: u64) -> String {
    let (unit, name) = match number {
        0..10_000 => return super::number(number),
        10_000..1_000_000 => (1_000, "k"),
        1_000_000..1_000_000_000 => (1_000_000, "M"),
        _ => (1_000_000_000, "bn"),
    };
    let tenths = number / (unit / 10);
    match tenths % 10 {
        0 => format!("{}{name}", super::number(tenths / 10)),
        tenth => format!("{}.{tenth}{name}", super::number(tenths / 10)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axis_has_round_numbers_and_room_for_the_most() {
        let ticks = |most| Scale::up_to(most).ticks().collect::<Vec<_>>();
        assert_eq!(ticks(0), [1, 0]);
        assert_eq!(ticks(1), [1, 0]);
        assert_eq!(ticks(4), [4, 3, 2, 1, 0]);
        assert_eq!(ticks(5), [6, 4, 2, 0]);
        assert_eq!(ticks(178), [200, 150, 100, 50, 0]);
        assert_eq!(ticks(1_000_000), [1_000_000, 500_000, 0]);
        for most in [u64::MAX, u64::MAX / 2, 999_999_999_999] {
            let ticks = ticks(most);
            assert!(ticks.len() <= 5 && ticks[0] >= most / 2, "{most}: {ticks:?}");
        }
    }

    #[test]
    fn heights_are_shares_and_what_there_is_is_seen() {
        let scale = Scale::up_to(200);
        assert_eq!(scale.height_of(0, 160), 0);
        assert_eq!(scale.height_of(50, 160), 40);
        assert_eq!(scale.height_of(200, 160), 160);
        assert_eq!(Scale::up_to(u64::MAX).height_of(1, 160), 2);
        assert_eq!(Scale::up_to(u64::MAX).height_of(u64::MAX, 160), 160);
    }

    #[test]
    fn large_numbers_are_short() {
        for (number, shown) in [
            (0, "0"),
            (5_000, "5,000"),
            (20_000, "20k"),
            (1_500_000, "1.5M"),
            (2_000_000_000, "2bn"),
            (u64::MAX, "18,446,744,073.7bn"),
        ] {
            assert_eq!(short(number), shown);
        }
    }
}
