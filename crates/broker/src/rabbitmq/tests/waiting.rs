//! Reading all that waits without taking it.

use std::time::Duration;

use ringback_runtime::{Clock as _, SystemClock};

use super::*;
use crate::rabbitmq::waiting::{self, Standing};
use crate::{Due, Waiting};

async fn read(settings: &Settings) -> Vec<Waiting> {
    let mut shown = Vec::new();
    let read = waiting::all(settings, &SystemClock, |one| {
        shown.push(one);
        Ok::<_, ConnectError>(())
    });
    assert_eq!(read.await.expect("the server answers"), 0, "all can be read");
    shown
}

#[tokio::test]
async fn all_that_waits_is_shown_with_its_time_and_stays() {
    let mut running = Running::start(fresh_settings()).await;
    let settings = running.settings.clone();
    publish(&running, 0..3).await;
    let now = SystemClock.now();
    let due = |seconds| now + Duration::from_secs(seconds);
    let delayed = |number, due| Delayed { due, dispatch: dispatch_of(number) };
    // Whole in the ladder, and further away than it measures well.
    let later = vec![delayed(10, due(300)), delayed(11, due(90 * 24 * 60 * 60 + 12_345))];
    running.broker.publish_after(later).await.expect("published");
    running.broker.publish_after(vec![delayed(12, now)]).await.expect("published");
    running.stop().await;

    let standing = waiting::standing(&settings).await.expect("it answers");
    // Those that were published together may be one message.
    assert_eq!((standing.consumers, standing.intake, standing.set_aside), (0, 0, 0));
    assert!((4..=6).contains(&standing.waiting), "{standing:?}");
    for _ in 0..2 {
        let shown = read(&settings).await;
        let of = |number: u32| {
            let id = dispatch_of(number).event.id;
            let has = |one: &&Waiting| one.dispatches.iter().any(|found| found.event.id == id);
            shown.iter().find(has).map(|one| one.due)
        };
        assert_eq!([0, 1, 2].map(of), [Some(Due::Fresh); 3]);
        let Some(Due::NotAfter(near)) = of(10) else { panic!("{shown:?}") };
        assert!(near >= due(300) && near <= SystemClock.now() + Duration::from_secs(305), "{near}");
        assert_eq!(of(11), Some(Due::At(due(90 * 24 * 60 * 60 + 12_345))));
        assert!(matches!(of(12), Some(Due::At(at)) if at >= now));
        // They are back once the server has heard of the end.
        let deadline = Instant::now() + SOON;
        while waiting::standing(&settings).await.expect("it answers") != standing {
            assert!(Instant::now() < deadline, "not all came back");
        }
    }

    let again = Running::start(settings.clone()).await;
    let mut consumer = again.consumer().await;
    let mut came = 0;
    while came < 4 {
        let message = next(&mut *consumer).await;
        came += message.dispatches.len();
        again.broker.ack(message.receipt);
    }
    let Standing { consumers, .. } = waiting::standing(&settings).await.expect("it answers");
    assert!(consumers > 0, "who is at work is seen");
}
