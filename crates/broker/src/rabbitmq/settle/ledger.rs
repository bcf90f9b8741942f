//! Which messages of a channel are settled, and what of that the server has to be told.

use std::collections::BTreeMap;

/// What the server is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Ack { tag: u64, multiple: bool },
    GiveBack { tag: u64 },
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ack,
    GiveBack,
}

/// Which messages of a channel are settled. The server numbers them without gaps, from 1.
///
/// It takes no more memory than there are unsettled messages, however long the oldest of them takes.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// All up to here are settled.
    settled_to: u64,
    /// What is settled beyond that: first and last of each run.
    runs: BTreeMap<u64, u64>,
    /// What the server was not told yet.
    untold: Vec<(u64, Verdict)>,
}

impl Ledger {
    /// A message is settled. Only the first verdict counts.
    pub(super) fn note(&mut self, tag: u64, verdict: Verdict) {
        if !self.is_settled(tag) {
            self.add(tag);
            self.untold.push((tag, verdict));
        }
    }

    fn is_settled(&self, tag: u64) -> bool {
        let run_before = self.runs.range(..=tag).next_back();
        tag <= self.settled_to || run_before.is_some_and(|(_, last)| tag <= *last)
    }

    fn add(&mut self, tag: u64) {
        let last = self.runs.remove(&(tag + 1)).unwrap_or(tag);
        match self.runs.range_mut(..tag).next_back() {
            Some((_, before)) if *before + 1 == tag => *before = last,
            _ => drop(self.runs.insert(tag, last)),
        }
    }

    /// What the server has to be told of what was noted: one frame for all acks before the first gap, and one each for
    /// the others.
    pub(super) fn frames(&mut self) -> Vec<Frame> {
        if let Some(last) = self.runs.remove(&(self.settled_to + 1)) {
            self.settled_to = last;
        }
        let mut frames = Vec::new();
        let mut alone = Vec::new();
        let (mut covered, mut last) = (0, 0);
        for (tag, verdict) in self.untold.drain(..) {
            match verdict {
                // Before the acks: what is given back must not be among those that one ack covers.
                Verdict::GiveBack => frames.push(Frame::GiveBack { tag }),
                Verdict::Ack if tag <= self.settled_to => {
                    covered += 1;
                    // The server must still hold the one that is named.
                    last = tag.max(last);
                }
                Verdict::Ack => alone.push(Frame::Ack { tag, multiple: false }),
            }
        }
        if covered > 0 {
            frames.push(Frame::Ack { tag: last, multiple: covered > 1 });
        }
        frames.extend(alone);
        frames
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const fn ack(tag: u64) -> Frame {
        Frame::Ack { tag, multiple: false }
    }

    const fn ack_to(tag: u64) -> Frame {
        Frame::Ack { tag, multiple: true }
    }

    #[test]
    fn acks_without_a_gap_are_one_frame_and_stragglers_one_each() {
        let mut ledger = Ledger::default();
        for tag in [3, 1, 2, 5, 7] {
            ledger.note(tag, Verdict::Ack);
        }
        assert_eq!(ledger.frames(), [ack_to(3), ack(5), ack(7)]);
        ledger.note(4, Verdict::Ack);
        assert_eq!(ledger.frames(), [ack(4)]);
        ledger.note(6, Verdict::GiveBack);
        assert_eq!(ledger.frames(), [Frame::GiveBack { tag: 6 }]);
        ledger.note(8, Verdict::Ack);
        ledger.note(9, Verdict::Ack);
        assert_eq!(ledger.frames(), [ack_to(9)]);
        assert_eq!(ledger.frames(), []);
        assert!(ledger.runs.is_empty());
    }

    #[test]
    fn settled_twice_is_told_once() {
        let mut ledger = Ledger::default();
        ledger.note(2, Verdict::Ack);
        assert_eq!(ledger.frames(), [ack(2)]);
        ledger.note(2, Verdict::GiveBack);
        assert_eq!(ledger.frames(), []);
        ledger.note(1, Verdict::Ack);
        assert_eq!(ledger.frames(), [ack(1)]);
        ledger.note(1, Verdict::Ack);
        assert_eq!(ledger.frames(), []);
    }

    #[test]
    fn one_that_takes_long_costs_nothing() {
        let mut ledger = Ledger::default();
        for tag in 2..100_000 {
            ledger.note(tag, Verdict::Ack);
            if tag % 10 == 0 {
                assert_eq!(ledger.frames().len(), if tag == 10 { 9 } else { 10 });
            }
        }
        assert_eq!(ledger.runs.len(), 1);
        ledger.note(1, Verdict::Ack);
        assert_eq!(ledger.frames().first(), Some(&ack_to(99_999)));
        assert!(ledger.runs.is_empty());
    }

    /// What a channel of the server does with frames, as strict as it is.
    fn apply(unsettled: &mut BTreeSet<u64>, frame: Frame) -> Vec<(u64, Verdict)> {
        match frame {
            Frame::Ack { tag, multiple: true } => {
                assert!(unsettled.contains(&tag), "the server knows no tag {tag}");
                let covered: Vec<_> = unsettled.range(..=tag).copied().collect();
                unsettled.retain(|other| *other > tag);
                covered.into_iter().map(|tag| (tag, Verdict::Ack)).collect()
            }
            Frame::Ack { tag, multiple: false } => {
                assert!(unsettled.remove(&tag), "the server knows no tag {tag}");
                vec![(tag, Verdict::Ack)]
            }
            Frame::GiveBack { tag } => {
                assert!(unsettled.remove(&tag), "the server knows no tag {tag}");
                vec![(tag, Verdict::GiveBack)]
            }
        }
    }

    proptest! {
        #[test]
        fn server_settles_what_was_noted_and_nothing_else(
            orders in Just((1..=40_u64).collect::<Vec<_>>()).prop_shuffle(),
            verdicts in proptest::collection::vec(any::<bool>(), 40),
            told_every in 1..10_usize,
            noted in 0..=40_usize,
        ) {
            let mut ledger = Ledger::default();
            let mut unsettled: BTreeSet<u64> = (1..=40).collect();
            let mut expected = BTreeMap::new();
            let mut settled = BTreeMap::new();
            for (number, tag) in orders.into_iter().take(noted).enumerate() {
                let verdict = if verdicts[number] { Verdict::Ack } else { Verdict::GiveBack };
                ledger.note(tag, verdict);
                expected.insert(tag, verdict);
                if number % told_every == 0 || number + 1 == noted {
                    for frame in ledger.frames() {
                        settled.extend(apply(&mut unsettled, frame));
                    }
                }
            }
            prop_assert_eq!(settled, expected);
        }
    }
}
