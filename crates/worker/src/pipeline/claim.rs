//! Claims on a bundle's jobs, all in one round trip.

use std::time::Duration;

use ringback_idempotency::Claim;

use super::Pipeline;
use crate::directory::Listing;
use crate::insist::Stopped;
use crate::job::{Job, LEASE_MARGIN};

/// The longest that a job waits before it is looked at again while another holds its claim.
const HELD_WAIT_MAX: Duration = Duration::from_secs(5);

impl Pipeline {
    /// The jobs that nobody else is at, and that are not marked as settled.
    pub(super) async fn claim(
        &self,
        mut jobs: Vec<Job>,
        listing: &Listing,
    ) -> Result<Vec<Job>, Stopped> {
        if jobs.is_empty() {
            return Ok(jobs);
        }
        let keys: Vec<_> = jobs.iter().map(|job| job.key).collect();
        let entries = jobs.iter().filter_map(|job| listing.get(job.target.callback));
        let timeout = entries.map(|entry| entry.callback.timeout).max().unwrap_or_default();
        let now = self.clock.now();
        let claims = match self.idempotency.claim(&keys, timeout + LEASE_MARGIN).await {
            Ok(claims) => {
                self.claims_outage.is_over("claims are made again");
                claims
            }
            Err(error) => {
                // Without claims two workers may send the same; without sending nobody gets anything.
                self.claims_outage.tell("going on without claims", &error);
                return Ok(jobs);
            }
        };
        let mut held = Vec::new();
        let mut claims = claims.into_iter();
        jobs.retain_mut(|job| match claims.next() {
            Some(Claim::Granted(fence)) => {
                job.claim = Some((fence, now));
                true
            }
            Some(Claim::Held { left }) => {
                held.push(job.again(self.clock.now() + left.min(HELD_WAIT_MAX)));
                false
            }
            Some(Claim::Settled) => false,
            None => true,
        });
        if !held.is_empty() {
            self.publish_after(held).await?;
        }
        Ok(jobs)
    }
}
