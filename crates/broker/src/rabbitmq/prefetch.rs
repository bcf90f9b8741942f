//! How many messages a consumer fetches ahead: the server counts messages, but what is to be bounded are the dispatches
//! and bytes in them.

/// So many dispatches are fetched ahead.
const DISPATCHES: f64 = 4_000.0;
/// Or so many bytes, if that is less.
const BYTES: f64 = 32.0 * 1024.0 * 1024.0;
/// The fewest and the most messages.
const MESSAGES: (u16, u16) = (64, 4_000);
/// A change costs a new subscription: it has to be worth it.
const WORTH_IT: u16 = 4;
/// So many messages are looked at before a change.
const LOOKED_AT: u32 = 64;
/// How much a message counts in the means.
const WEIGHT: f64 = 1.0 / 32.0;

/// What is seen of the messages of one lane.
#[derive(Clone, Debug)]
pub(super) struct Prefetch {
    /// So many lanes share what is fetched.
    share: f64,
    looked_at: u32,
    /// Means; none before the first message.
    dispatches: Option<f64>,
    bytes: f64,
}

impl Prefetch {
    /// What a lane begins with: enough if its messages are full bundles.
    pub(super) const FIRST: u16 = MESSAGES.0;

    /// For one of so many lanes of a kind.
    pub(super) fn new(lanes: usize) -> Self {
        let share = u16::try_from(lanes).unwrap_or(u16::MAX).max(1).into();
        Self { share, looked_at: 0, dispatches: None, bytes: 0.0 }
    }

    /// A message came. Returns the prefetch that there should be, if it is far from what there is.
    pub(super) fn look(&mut self, dispatches: usize, bytes: usize, now: u16) -> Option<u16> {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let (dispatches, bytes) = (dispatches as f64, bytes as f64);
        match &mut self.dispatches {
            Some(mean) => {
                *mean += (dispatches - *mean) * WEIGHT;
                self.bytes += (bytes - self.bytes) * WEIGHT;
            }
            None => {
                self.dispatches = Some(dispatches);
                self.bytes = bytes;
            }
        }
        self.looked_at += 1;
        if self.looked_at < LOOKED_AT {
            return None;
        }
        self.looked_at = 0;
        let wanted = self.wanted();
        let far = wanted / WORTH_IT > now || now / WORTH_IT > wanted;
        far.then_some(wanted)
    }

    fn wanted(&self) -> u16 {
        let dispatches = self.dispatches.unwrap_or(1.0).max(1.0);
        let messages = (DISPATCHES / dispatches).min(BYTES / self.bytes.max(1.0)) / self.share;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to what fits"
        )]
        let messages = messages.clamp(MESSAGES.0.into(), MESSAGES.1.into()) as u16;
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it says after this many messages of this size.
    fn after(
        prefetch: &mut Prefetch,
        messages: u32,
        (dispatches, bytes): (usize, usize),
        now: u16,
    ) -> Option<u16> {
        let said = (0..messages).map(|_| prefetch.look(dispatches, bytes, now));
        said.fold(None, |last, next| next.or(last))
    }

    #[test]
    fn small_messages_are_fetched_by_the_thousands() {
        let mut prefetch = Prefetch::new(1);
        assert_eq!(after(&mut prefetch, 63, (1, 500), 64), None, "a few tell nothing");
        assert_eq!(after(&mut prefetch, 1, (1, 500), 64), Some(4_000));
    }

    #[test]
    fn full_bundles_and_large_events_are_fetched_by_the_dozen() {
        assert_eq!(after(&mut Prefetch::new(1), 64, (64, 32_000), 4_000), Some(64));
        assert_eq!(after(&mut Prefetch::new(1), 64, (1, 1_000_000), 4_000), Some(64));
        assert_eq!(after(&mut Prefetch::new(1), 64, (64, 32_000), 64), None);
    }

    #[test]
    fn shards_share_what_is_fetched() {
        assert_eq!(after(&mut Prefetch::new(8), 64, (1, 500), 64), Some(500));
        assert_eq!(after(&mut Prefetch::new(64), 64, (1, 500), 64), None);
    }

    #[test]
    fn small_change_is_not_worth_it() {
        assert_eq!(after(&mut Prefetch::new(1), 640, (16, 8_000), 64), None);
        assert_eq!(after(&mut Prefetch::new(1), 640, (14, 7_000), 64), Some(285));
    }

    #[test]
    fn change_of_traffic_is_followed() {
        let mut prefetch = Prefetch::new(1);
        assert_eq!(after(&mut prefetch, 64, (1, 500), 64), Some(4_000));
        assert_eq!(after(&mut prefetch, 640, (64, 32_000), 4_000), Some(64));
    }
}
