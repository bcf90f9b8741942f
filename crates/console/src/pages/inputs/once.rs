//! Forms that make something make it once, also when a browser sends them twice: by a double click, or by loading the page
//! again that came of it.
//!
//! Each form carries what was drawn when it was shown, and the id of what it makes is computed from that and from what was
//! typed. So the second of two equal ones meets what the first has made, in this process or another; a form that was
//! changed in between makes something else.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use maud::{Markup, html};
use ringback_api::Problem;
use ringback_core::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::pages::posted::Fields;
use crate::pages::visitor::Visitor;
use crate::state::random;

/// The field that holds when the form was shown, and random bytes.
const DRAWN: &str = "drawn";
/// Ids begin with the time: those of forms that were open for longer are made when they are sent.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The clocks of two processes may differ by so much.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// What tells this form from the same one, shown another time. One that is shown again with what was typed stays the same.
pub(in crate::pages) fn field(fields: &Fields, now: Timestamp) -> Markup {
    let drawn = match drawn_at(fields, now) {
        Some(_) => Some(fields.text(DRAWN).to_owned()),
        // Should there be no randomness, nothing can be made anyway.
        None => random::<16>().ok().map(|random| {
            let random = random.map(|byte| format!("{byte:02x}")).concat();
            format!("{}.{random}", now.ms())
        }),
    };
    html! { @if let Some(drawn) = drawn { input type="hidden" name=(DRAWN) value=(drawn); } }
}

/// What the id of what a form makes is put together from: when the form was shown, and what can't be guessed. `made` is all
/// that it asks for, in the same order each time.
///
/// # Errors
/// If there is no randomness, for a form that says nothing.
pub(in crate::pages) fn parts(
    visitor: &Visitor,
    fields: &Fields,
    made: &[&str],
    now: Timestamp,
) -> Result<(Timestamp, [u8; 10]), Problem> {
    let Some(at) = drawn_at(fields, now) else { return Ok((now, random()?)) };
    let mut hash = Sha256::new();
    hash.update(b"ringback made once");
    // Nobody can choose the id: who could would come to what another's callback of that id got, and still gets.
    let session = visitor.form_token();
    for part in [&[&*session, fields.text(DRAWN)], made].concat() {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut random = [0; 10];
    random.copy_from_slice(&digest[..10]);
    Ok((at, random))
}

/// Which forms have made something that is shown once, as of this process: an API key or a link. One that is sent again by
/// loading the page anew makes no other.
#[derive(Default)]
pub(crate) struct ShownOnce(Mutex<HashSet<(Timestamp, [u8; 10])>>);

impl ShownOnce {
    /// Makes something, if this form has not made it already.
    ///
    /// # Errors
    /// What is wrong with making it; 409 if it was made.
    pub(in crate::pages) async fn make<T>(
        &self,
        (visitor, fields): (&Visitor, &Fields),
        now: Timestamp,
        make: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let form = parts(visitor, fields, &[&fields.typed()], now)?;
        let is_first = {
            let mut forms = self.lock();
            // Forms that were shown so long ago are taken for others each time.
            forms.retain(|(at, _)| now.since(*at) <= AGE_MAX);
            forms.insert(form)
        };
        if !is_first {
            return Err(Problem::conflict(MADE));
        }
        let made = make.await;
        if made.is_err() {
            self.lock().remove(&form);
        }
        made
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(Timestamp, [u8; 10])>> {
        self.0.lock().expect("nothing panics while it is locked")
    }
}

const MADE: &str =
    "It was made already, and is not shown again. Make another if nobody has copied it.";

/// When the form was shown; none: it does not say so, or that was too long ago.
fn drawn_at(fields: &Fields, now: Timestamp) -> Option<Timestamp> {
    let (at, _) = fields.text(DRAWN).split_once('.')?;
    let at = Timestamp::from_ms(at.parse().ok()?);
    (now.since(at) <= AGE_MAX && at.since(now) <= AHEAD_MAX).then_some(at)
}
