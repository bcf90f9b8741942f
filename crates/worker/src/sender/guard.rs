//! The resolver that hands out no address that requests may not go to.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use ringback_core::address::{AddressPolicy, BlockedAddress};

pub(super) struct GuardedResolver {
    policy: AddressPolicy,
}

impl GuardedResolver {
    pub(super) fn new(policy: AddressPolicy) -> Self {
        Self { policy }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy.clone();
        Box::pin(async move {
            // Port 0: the connector puts in the URL's.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let mut blocked: Option<BlockedAddress> = None;
            let mut allowed: Vec<SocketAddr> = Vec::new();
            for address in found {
                match policy.check(address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(refusal) => blocked = Some(refusal),
                }
            }
            match blocked {
                Some(refusal) if allowed.is_empty() => Err(refusal.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}
