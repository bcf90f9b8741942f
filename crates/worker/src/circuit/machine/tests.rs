use std::num::NonZeroU32;

use super::*;

const T0: Timestamp = Timestamp::from_ms(1_767_323_045_678);

fn at(seconds: u64) -> Timestamp {
    T0 + Duration::from_secs(seconds)
}

fn policy(failures: u32, open_for_s: u64) -> CircuitPolicy {
    CircuitPolicy {
        enabled: true,
        failures: NonZeroU32::new(failures).expect("not zero"),
        open_for: Duration::from_secs(open_for_s),
    }
}

/// Leave for one attempt.
fn go(machine: &mut Machine, policy: &CircuitPolicy, now: Timestamp) -> Ticket {
    match machine.admit(policy, Asking::InTurn, now) {
        Answer::Go(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

/// Makes attempts, one after the other: `x` is trouble, `.` is not. What the last of them brought about.
fn attempts(
    machine: &mut Machine,
    policy: &CircuitPolicy,
    now: Timestamp,
    outcomes: &str,
) -> Option<Change> {
    let mut change = None;
    for outcome in outcomes.chars() {
        assert_eq!(change, None, "it turned before the end of {outcomes}");
        let ticket = go(machine, policy, now);
        let verdict = if outcome == 'x' { Verdict::Trouble } else { Verdict::Alive };
        change = machine.verdict(policy, ticket, verdict, now);
    }
    change
}

fn opened(policy: &CircuitPolicy, now: Timestamp) -> Machine {
    let mut machine = Machine::default();
    let failures = "x".repeat(policy.failures.get() as usize);
    let change = attempts(&mut machine, policy, now, &failures);
    assert_eq!(change, Some(Change::Opened { failures: policy.failures.get() }));
    machine
}

/// A probe that fails.
fn fail_probe(machine: &mut Machine, policy: &CircuitPolicy, now: Timestamp) {
    let ticket = go(machine, policy, now);
    assert_eq!(machine.verdict(policy, ticket, Verdict::Trouble, now), None);
}

#[test]
fn opens_after_failures_in_a_row_or_three_of_four_among_the_last() {
    for (failures, outcomes, opens) in [
        (3, "xxx", true),
        (3, "xx", false),
        (3, "xx.xx", false),
        (3, "....xxx", true),
        (1, "..x", true),
        // 12 of 16, never four in a row.
        (4, "xxx.xxx.xxx.xxx", true),
        (4, ".....xxx.xxx.xxx.xxx", true),
        (4, "xxx.xxx.xxx.xx.x", true),
        (4, "xxx.xxx.xxx.xx..", false),
        // What is longer ago counts no more.
        (4, "xxx.xxx.xxx.xx..x", false),
        (4, "xxx..xxx..xxx..xxx..xxx..xxx..xxx", false),
        (3, "x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.", false),
    ] {
        let change = attempts(&mut Machine::default(), &policy(failures, 30), T0, outcomes);
        let opened = matches!(change, Some(Change::Opened { .. }));
        assert_eq!(opened, opens, "{failures} failures, {outcomes}");
    }
}

#[test]
fn open_one_lets_nobody_through_before_its_time_and_then_one_at_a_time() {
    let policy = policy(3, 30);
    let mut machine = opened(&policy, at(0));
    for (now, left) in [(0, 30), (10, 20), (29, 1)] {
        let answer = machine.admit(&policy, Asking::InTurn, at(now));
        assert_eq!(answer, Answer::Wait(Duration::from_secs(left)), "after {now} s");
        assert_eq!(machine.state(&policy, at(now)), CircuitState::Open);
    }
    assert_eq!(machine.state(&policy, at(30)), CircuitState::HalfOpen);
    let probe = go(&mut machine, &policy, at(30));
    assert_eq!(machine.admit(&policy, Asking::InTurn, at(31)), Answer::Probing);
    assert_eq!(machine.state(&policy, at(31)), CircuitState::HalfOpen);
    let change = machine.verdict(&policy, probe, Verdict::Alive, at(32));
    assert_eq!(change, Some(Change::Closed { since: at(0) }));
    assert_eq!(machine.state(&policy, at(32)), CircuitState::Closed);
    assert_eq!(attempts(&mut machine, &policy, at(33), "xx"), None, "it begins to count anew");
}

#[test]
fn time_doubles_while_probes_fail_up_to_ten_times() {
    let policy = policy(2, 30);
    let mut machine = opened(&policy, at(0));
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..40 {
        let Answer::Wait(left) = machine.admit(&policy, Asking::InTurn, now) else {
            panic!("it is open");
        };
        waits.push(left.as_secs());
        now = now + left;
        fail_probe(&mut machine, &policy, now);
    }
    assert_eq!(waits[..6], [30, 60, 120, 240, 300, 300]);
    assert_eq!(waits[39], 300);
    let probe = go(&mut machine, &policy, now + Duration::from_secs(300));
    machine.verdict(&policy, probe, Verdict::Alive, now);
    assert_eq!(attempts(&mut machine, &policy, now, "xx"), Some(Change::Opened { failures: 2 }));
    let answer = machine.admit(&policy, Asking::InTurn, now);
    assert_eq!(answer, Answer::Wait(Duration::from_secs(30)), "and begins again after a success");
}

#[test]
fn probe_without_a_verdict_makes_room_for_the_next() {
    let policy = policy(2, 30);
    let mut machine = opened(&policy, at(0));
    let probe = go(&mut machine, &policy, at(30));
    assert_eq!(machine.admit(&policy, Asking::InTurn, at(30)), Answer::Probing);
    machine.no_verdict(probe);
    let next = go(&mut machine, &policy, at(30));
    assert_eq!(
        machine.verdict(&policy, next, Verdict::Alive, at(30)),
        Some(Change::Closed { since: at(0) })
    );
}

#[test]
fn attempt_by_hand_passes_an_open_circuit_and_only_its_success_counts() {
    let policy = policy(2, 30);
    let mut machine = opened(&policy, at(0));
    let by_hand = |machine: &mut Machine, verdict| {
        let Answer::Go(ticket) = machine.admit(&policy, Asking::ByHand, at(1)) else {
            panic!("it passes");
        };
        machine.verdict(&policy, ticket, verdict, at(1))
    };
    assert_eq!(by_hand(&mut machine, Verdict::Trouble), None);
    let answer = machine.admit(&policy, Asking::InTurn, at(1));
    assert_eq!(answer, Answer::Wait(Duration::from_secs(29)), "it is open as long as before");
    assert_eq!(by_hand(&mut machine, Verdict::Alive), Some(Change::Closed { since: at(0) }));
}

#[test]
fn late_verdict_on_an_attempt_from_before_changes_nothing() {
    let policy = policy(2, 30);
    let mut machine = Machine::default();
    let mut late = Vec::new();
    for _ in 0..4 {
        late.push(go(&mut machine, &policy, at(0)));
    }
    assert_eq!(attempts(&mut machine, &policy, at(0), "xx"), Some(Change::Opened { failures: 2 }));
    let last = late.pop().expect("four");
    assert_eq!(machine.verdict(&policy, last, Verdict::Alive, at(1)), None);
    assert_eq!(machine.state(&policy, at(1)), CircuitState::Open);
    let probe = go(&mut machine, &policy, at(30));
    assert_eq!(
        machine.verdict(&policy, probe, Verdict::Alive, at(30)),
        Some(Change::Closed { since: at(0) })
    );
    for ticket in late {
        assert_eq!(machine.verdict(&policy, ticket, Verdict::Trouble, at(31)), None);
    }
    assert_eq!(machine.state(&policy, at(31)), CircuitState::Closed);
}

#[test]
fn change_of_the_policy_counts_at_once() {
    let long = policy(2, 300);
    let mut machine = opened(&long, at(0));
    let short = policy(2, 10);
    let answer = machine.admit(&short, Asking::InTurn, at(4));
    assert_eq!(answer, Answer::Wait(Duration::from_secs(6)));

    let off = CircuitPolicy { enabled: false, ..short };
    assert_eq!(machine.state(&off, at(4)), CircuitState::Closed);
    assert_eq!(attempts(&mut machine, &off, at(4), "xxxxxxxxxxxx"), None);
    assert_eq!(attempts(&mut machine, &short, at(4), "x"), None, "nothing was counted meanwhile");

    let mut machine = Machine::default();
    assert_eq!(attempts(&mut machine, &policy(20, 30), at(0), "xxxxx.x"), None);
    let change = attempts(&mut machine, &policy(2, 30), at(0), "x");
    assert_eq!(change, Some(Change::Opened { failures: 7 }), "fewer are enough now");
}

#[test]
fn clock_that_is_put_back_lets_it_stay_open_no_longer_than_once_more() {
    let policy = policy(2, 30);
    let mut machine = opened(&policy, at(100_000));
    let answer = machine.admit(&policy, Asking::InTurn, at(50));
    assert_eq!(answer, Answer::Wait(Duration::from_secs(30)));
    go(&mut machine, &policy, at(80));
}

#[test]
fn healthy_endpoint_is_not_remembered() {
    let policy = policy(20, 30);
    let mut machine = Machine::default();
    attempts(&mut machine, &policy, at(0), &".".repeat(1_000));
    let State::Closed(lately) = &machine.state else { panic!("closed") };
    assert!(lately.last.is_empty());
    attempts(&mut machine, &policy, at(0), &format!("x{}", ".".repeat(1_000)));
    let State::Closed(lately) = &machine.state else { panic!("closed") };
    assert!(lately.last.is_empty(), "nor a failure of long ago");
}
