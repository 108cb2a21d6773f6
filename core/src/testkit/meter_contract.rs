//! What every meter must do.

#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::time::Duration;

use super::stores::Fixture;
use crate::budget::meter::LONGEST_BACKLOG;
use crate::budget::{CallClass, Day, Meter, Month, Take, Taken};

/// Makes a test of every case, as [`crate::inbox_contract`].
#[macro_export]
macro_rules! meter_contract {
    ($open:path) => {
        $crate::contract_cases! { $open, meter_contract:
            instances_stand_in_one_line,
            apps_and_classes_have_lines_of_their_own,
            a_line_that_a_wrong_clock_made_is_not_believed,
            without_a_gap_there_is_no_line,
            a_month_counts_all_classes_of_one_app,
            a_new_month_begins_at_nothing,
            concurrent_takes_lose_no_call,
            looking_counts_nothing,
            one_caller_a_day_is_told_first,
        }
    };
}

/// Long enough that a slow machine does not shift a line by one place.
const GAP: Duration = Duration::from_secs(5);

fn calls(fixture: &Fixture, class: CallClass, calls: u32) -> Take {
    Take { app: "feishu/cli_a".to_owned(), class, calls, uncounted: 0, gap: GAP, now: fixture.now() }
}

async fn take(meter: &dyn Meter, take: Take) -> Taken {
    meter.take(take).await.unwrap()
}

/// Whether a line reaches `places` ahead, less what has left while this test ran.
fn reaches(taken: Taken, places: u32) -> bool {
    let least = GAP * places.saturating_sub(1);
    taken.backlog <= GAP * places && (places == 0 || taken.backlog > least)
}

pub async fn instances_stand_in_one_line(fixture: &Fixture) {
    let first = take(&*fixture.meter, calls(fixture, CallClass::Cards, 3)).await;
    let second = take(&*fixture.other_meter, calls(fixture, CallClass::Cards, 2)).await;
    let third = take(&*fixture.meter, calls(fixture, CallClass::Cards, 1)).await;
    assert_eq!(first.backlog, Duration::ZERO);
    assert!(reaches(second, 3) && reaches(third, 5), "{second:?}, {third:?}");
}

pub async fn apps_and_classes_have_lines_of_their_own(fixture: &Fixture) {
    take(&*fixture.meter, calls(fixture, CallClass::Cards, 3)).await;
    let other_class = take(&*fixture.meter, calls(fixture, CallClass::Streaming, 1)).await;
    let other_app = Take { app: "feishu/cli_b".to_owned(), ..calls(fixture, CallClass::Cards, 1) };
    let other_app = take(&*fixture.meter, other_app).await;
    assert_eq!((other_class.backlog, other_app.backlog), (Duration::ZERO, Duration::ZERO));
}

pub async fn a_line_that_a_wrong_clock_made_is_not_believed(fixture: &Fixture) {
    take(&*fixture.meter, calls(fixture, CallClass::Cards, 100_000)).await;
    let next = take(&*fixture.meter, calls(fixture, CallClass::Cards, 1)).await;
    assert!(next.backlog <= LONGEST_BACKLOG && next.backlog > LONGEST_BACKLOG - GAP, "{next:?}");
}

pub async fn without_a_gap_there_is_no_line(fixture: &Fixture) {
    for _ in 0..2 {
        let unpaced = Take { gap: Duration::ZERO, ..calls(fixture, CallClass::Messages, 1_000) };
        assert_eq!(take(&*fixture.meter, unpaced).await.backlog, Duration::ZERO);
    }
}

pub async fn a_month_counts_all_classes_of_one_app(fixture: &Fixture) {
    take(&*fixture.meter, calls(fixture, CallClass::Cards, 3)).await;
    let other = Take { app: "feishu/cli_b".to_owned(), ..calls(fixture, CallClass::Cards, 100) };
    take(&*fixture.meter, other).await;
    let later = Take { uncounted: 20, ..calls(fixture, CallClass::Other, 0) };
    assert_eq!(take(&*fixture.other_meter, later).await.month_calls, 23);
    assert_eq!(take(&*fixture.meter, calls(fixture, CallClass::Streaming, 1)).await.month_calls, 24);
}

pub async fn a_new_month_begins_at_nothing(fixture: &Fixture) {
    fixture.clock.advance(Duration::from_secs(31 * 86_400 - 1));
    assert_eq!(take(&*fixture.meter, calls(fixture, CallClass::Cards, 3)).await.month_calls, 3);
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(take(&*fixture.meter, calls(fixture, CallClass::Cards, 1)).await.month_calls, 1);
}

pub async fn concurrent_takes_lose_no_call(fixture: &Fixture) {
    let takes = (0..60).map(|n| {
        let meter = if n % 2 == 0 { &fixture.meter } else { &fixture.other_meter };
        let (class, paced) = if n % 6 == 0 { (CallClass::Cards, 1) } else { (CallClass::Streaming, 0) };
        take(&**meter, Take { gap: GAP * paced, ..calls(fixture, class, 1) })
    });
    let taken = futures::future::join_all(takes).await;
    assert_eq!(taken.iter().map(|taken| taken.month_calls).max(), Some(60));
    let after = take(&*fixture.meter, calls(fixture, CallClass::Cards, 1)).await;
    assert!(reaches(after, 10), "all ten have places of their own: {after:?}");
}

pub async fn looking_counts_nothing(fixture: &Fixture) {
    let look = || Take { gap: Duration::ZERO, ..calls(fixture, CallClass::Other, 0) };
    assert_eq!(take(&*fixture.meter, look()).await, Taken { backlog: Duration::ZERO, month_calls: 0 });
    take(&*fixture.other_meter, calls(fixture, CallClass::Cards, 7)).await;
    assert_eq!(take(&*fixture.meter, look()).await.month_calls, 7);
}

pub async fn one_caller_a_day_is_told_first(fixture: &Fixture) {
    take(&*fixture.meter, calls(fixture, CallClass::Cards, 1)).await;
    take(&*fixture.meter, calls(fixture, CallClass::Streaming, 1)).await;
    let (day, app) = (Day::of(fixture.now()), "feishu/cli_a");
    let month = Month::of(fixture.now());
    assert!(fixture.meter.is_first_to_tell(app, month, day).await.unwrap());
    assert!(!fixture.other_meter.is_first_to_tell(app, month, day).await.unwrap());
    assert!(!fixture.meter.is_first_to_tell("feishu/cli_b", month, day).await.unwrap());
    fixture.clock.advance(Duration::from_secs(86_400));
    assert!(fixture.meter.is_first_to_tell(app, month, Day::of(fixture.now())).await.unwrap());
}
