//! Bounds on guessing passwords: so many attempts that failed in a while, by address and by account.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Failures from one address in that time: a person who mistypes has ten.
const OF_ADDRESS: usize = 10;
/// Failures at one account, from wherever: at most 2880 guesses a day. Who guesses so much keeps its owner out too, but for
/// sessions that are there.
const OF_ACCOUNT: usize = 30;
/// Addresses that are remembered; beyond, the one that failed longest ago is forgotten.
const ADDRESSES: usize = 4096;

/// Failures of late.
#[derive(Default)]
pub(crate) struct Attempts {
    addresses: HashMap<IpAddr, Vec<Instant>>,
    /// Only accounts that are there, so that their number is bounded.
    accounts: HashMap<String, Vec<Instant>>,
}

impl Attempts {
    /// Takes an attempt for one that fails, until it is [`Self::good`], so that several at once get no further than one after the
    /// other. Else it says how long to wait.
    pub(crate) fn begin(
        &mut self,
        address: IpAddr,
        account: Option<&str>,
        now: Instant,
    ) -> Result<(), Duration> {
        let address = network(address);
        forget(&mut self.addresses, now);
        forget(&mut self.accounts, now);
        let failed = self.addresses.get(&address).map_or(&[][..], Vec::as_slice);
        let of_account = account.and_then(|name| self.accounts.get(name)).map_or(&[][..], Vec::as_slice);
        let wait = wait(failed, OF_ADDRESS, now).max(wait(of_account, OF_ACCOUNT, now));
        if !wait.is_zero() {
            return Err(wait);
        }
        if self.addresses.len() >= ADDRESSES && !self.addresses.contains_key(&address) {
            let oldest = self.addresses.iter().min_by_key(|(_, failed)| failed.last().copied());
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.addresses.remove(&oldest);
            }
        }
        self.addresses.entry(address).or_default().push(now);
        if let Some(account) = account {
            self.accounts.entry(account.to_owned()).or_default().push(now);
        }
        Ok(())
    }

    /// An attempt that began then was good.
    pub(crate) fn good(&mut self, address: IpAddr, account: &str, began: Instant) {
        for failed in [self.addresses.get_mut(&network(address)), self.accounts.get_mut(account)] {
            let Some(failed) = failed else { continue };
            if let Some(at) = failed.iter().rposition(|at| *at == began) {
                failed.remove(at);
            }
        }
    }
}

/// Whoever has one address of IPv6 has its whole network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

fn wait(failed: &[Instant], limit: usize, now: Instant) -> Duration {
    match failed.len().checked_sub(limit).and_then(|first| failed.get(first)) {
        Some(first) => (*first + WINDOW).saturating_duration_since(now),
        None => Duration::ZERO,
    }
}

fn forget<K: Hash + Eq>(failures: &mut HashMap<K, Vec<Instant>>, now: Instant) {
    failures.retain(|_, failed| {
        failed.retain(|at| now.saturating_duration_since(*at) < WINDOW);
        !failed.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(number).into()
    }

    #[test]
    fn an_address_fails_ten_times_and_then_waits() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        for s in 0..10 {
            assert_eq!(attempts.begin(ip(1), Some("anna"), at(s)), Ok(()));
        }
        assert_eq!(attempts.begin(ip(1), Some("bert"), at(10)), Err(Duration::from_secs(15 * 60 - 10)));
        assert_eq!(attempts.begin(ip(2), Some("anna"), at(10)), Ok(()), "another address");
        assert_eq!(attempts.begin(ip(1), Some("anna"), at(15 * 60)), Ok(()), "the first is long ago");
        assert!(attempts.begin(ip(1), Some("anna"), at(15 * 60)).is_err());
    }

    #[test]
    fn good_ones_do_not_count_and_do_not_wipe_out_others() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        for n in 0..100 {
            let began = start + Duration::from_millis(n);
            attempts.begin(ip(1), Some("anna"), began).unwrap();
            attempts.good(ip(1), "anna", began);
        }
        let later = start + Duration::from_secs(1);
        assert_eq!((0..20).filter(|_| attempts.begin(ip(1), Some("anna"), later).is_ok()).count(), 10);
    }

    #[test]
    fn an_account_is_guarded_against_many_addresses_and_the_table_is_bounded() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        let let_in = (0..5000).filter(|n| attempts.begin(ip(*n), Some("anna"), start).is_ok()).count();
        assert_eq!(let_in, 30);
        (0..5000).for_each(|n| assert!(attempts.begin(ip(n), None, start).is_ok() || n < 30));
        assert_eq!((attempts.addresses.len(), attempts.accounts.len()), (ADDRESSES, 1));
        let v6 = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(network(v6("2001:db8::1")), network(v6("2001:db8::ffff:1")));
        assert_ne!(network(v6("2001:db8:0:1::1")), network(v6("2001:db8::1")));
    }
}
