//! The tracker (BEP 3, 23 and 27), without its HTTP: who shares which of this server's torrents. Pure; the time is
//! given.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ezio_swarm::{Routes, SiteId, Tuning};
use rand::seq::SliceRandom;

use crate::sites::{SiteRange, site_of};

/// How often a peer is to announce itself. Rooms start within seconds: whoever comes later dials those who came
/// earlier, so that nobody needs to ask more often.
const INTERVAL: Duration = Duration::from_secs(60);
/// A peer that was not heard of for so long is gone.
const EXPIRY: Duration = Duration::from_secs(150);
/// Peers that an answer names at most, and when the client does not say: a mesh of a whole classroom.
const MAX_PEERS: usize = 100;
/// Peers of one torrent that are kept.
const MAX_KNOWN: usize = 4096;
/// Peers of one torrent at one address: more than a classroom behind a router that hides its addresses. Whoever makes some up
/// has few addresses.
const MAX_PER_ADDRESS: usize = 64;

/// What a peer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnnounceEvent {
    None,
    Started,
    Stopped,
    Completed,
}

/// One announce.
#[derive(Debug, Clone)]
pub(crate) struct Announce {
    pub(crate) info_hash: [u8; 20],
    pub(crate) peer_id: [u8; 20],
    /// Where it takes connections: the address that the request came from, and the port that it names.
    pub(crate) address: SocketAddr,
    /// Bytes still missing.
    pub(crate) left: u64,
    pub(crate) event: AnnounceEvent,
    pub(crate) wanted: Option<usize>,
}

#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    left: u64,
    heard: Instant,
}

#[derive(Debug, Default)]
struct Torrent {
    peers: HashMap<[u8; 20], Peer>,
    completed: u64,
}

impl Torrent {
    /// Forgets who was not heard of for longest at this address, where there are too many.
    fn make_room_at(&mut self, address: IpAddr) {
        let there = || self.peers.iter().filter(|(_, peer)| peer.address.ip() == address);
        if there().count() >= MAX_PER_ADDRESS
            && let Some(oldest) = there().min_by_key(|(_, peer)| peer.heard).map(|(id, _)| *id)
        {
            self.peers.remove(&oldest);
        }
    }
}

/// Counts of one torrent, as scrape tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scrape {
    pub(crate) info_hash: [u8; 20],
    /// Peers that have everything, the server among them.
    pub(crate) complete: usize,
    pub(crate) incomplete: usize,
    /// How often somebody became complete.
    pub(crate) downloaded: u64,
}

/// The tracker of this server's torrents.
#[derive(Debug)]
pub(crate) struct Tracker {
    torrents: HashMap<[u8; 20], Torrent>,
    sites: Vec<SiteRange>,
}

impl Tracker {
    pub(crate) fn new(torrents: impl IntoIterator<Item = [u8; 20]>, sites: Vec<SiteRange>) -> Self {
        let torrents = torrents.into_iter().map(|hash| (hash, Torrent::default())).collect();
        Self { torrents, sites }
    }

    /// Takes an announce and gives the answer; `seeder` is this server's own seeder, which is always named.
    ///
    /// # Errors
    /// A reason, for the peer's user.
    pub(crate) fn announce(
        &mut self,
        announce: &Announce,
        seeder: SocketAddr,
        now: Instant,
    ) -> Result<Vec<u8>, &'static str> {
        let torrent =
            self.torrents.get_mut(&announce.info_hash).ok_or("this torrent is not served by this server")?;
        torrent.peers.retain(|_, peer| now.duration_since(peer.heard) < EXPIRY);
        // A peer that was started anew has a new id at its old place.
        torrent.peers.retain(|id, peer| *id == announce.peer_id || peer.address != announce.address);
        if announce.event == AnnounceEvent::Completed {
            torrent.completed += 1;
        }
        if announce.event == AnnounceEvent::Stopped {
            torrent.peers.remove(&announce.peer_id);
        } else if announce.address.port() != 0 && announce.address != seeder {
            let known = torrent.peers.contains_key(&announce.peer_id);
            if !known {
                torrent.make_room_at(announce.address.ip());
                if torrent.peers.len() >= MAX_KNOWN {
                    return Err("too many peers");
                }
            }
            let peer = Peer { address: announce.address, left: announce.left, heard: now };
            torrent.peers.insert(announce.peer_id, peer);
        }
        let peers = match announce.event {
            AnnounceEvent::Stopped => Vec::new(),
            _ => choose(torrent, announce, seeder, &self.sites),
        };
        let (complete, incomplete) = counts(torrent);
        Ok(answer(complete, incomplete, &peers))
    }

    /// Counts of all torrents, or of those that are asked for.
    pub(crate) fn scrape(&self, wanted: &[[u8; 20]], now: Instant) -> Vec<Scrape> {
        let mut scrapes: Vec<Scrape> = self
            .torrents
            .iter()
            .filter(|(hash, _)| wanted.is_empty() || wanted.contains(hash))
            .map(|(hash, torrent)| {
                let alive = |p: &&Peer| now.duration_since(p.heard) < EXPIRY;
                let complete = 1 + torrent.peers.values().filter(alive).filter(|p| p.left == 0).count();
                let incomplete = torrent.peers.values().filter(alive).filter(|p| p.left > 0).count();
                Scrape { info_hash: *hash, complete, incomplete, downloaded: torrent.completed }
            })
            .collect();
        scrapes.sort_by_key(|scrape| scrape.info_hash);
        scrapes
    }
}

/// Peers that have everything (with the seeder), and that do not.
fn counts(torrent: &Torrent) -> (usize, usize) {
    let complete = torrent.peers.values().filter(|peer| peer.left == 0).count();
    (1 + complete, torrent.peers.len() - complete)
}

/// The seeder, then others at random; in rooms too large for all of them, two thirds of the list are of the same site, as
/// far as there are so many, and the next are of the sites that pieces come from, or go on to.
fn choose(
    torrent: &Torrent,
    announce: &Announce,
    seeder: SocketAddr,
    sites: &[SiteRange],
) -> Vec<SocketAddr> {
    let most = announce.wanted.unwrap_or(MAX_PEERS).min(MAX_PEERS);
    if most == 0 {
        return Vec::new();
    }
    let others = torrent.peers.iter().filter(|(id, _)| **id != announce.peer_id);
    let mut others: Vec<SocketAddr> = others.map(|(_, peer)| peer.address).collect();
    others.shuffle(&mut rand::rng());
    let room = most - 1;
    if others.len() > room {
        let site_of = |ip| Some(SiteId(u16::try_from(site_of(sites, ip)?).ok()?));
        let site = site_of(announce.address.ip());
        let all = others.iter().filter_map(|address| site_of(address.ip())).chain(site);
        let all: BTreeSet<SiteId> = all.collect();
        let mut routes = Routes::of_all(site_of(seeder.ip()), &all, Tuning::default().ring);
        let next = site.and_then(|own| routes.remove(&own)).unwrap_or_default().sites();
        let is_near = |address: &SocketAddr| site.is_some() && site_of(address.ip()) == site;
        let (mut chosen, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(is_near);
        let (next, mut rest): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|address| site_of(address.ip()).is_some_and(|site| next.contains(&site)));
        let surplus = chosen.split_off(chosen.len().min((2 * room).div_ceil(3)));
        rest.extend(surplus);
        rest.shuffle(&mut rand::rng());
        chosen.extend(next.into_iter().chain(rest));
        others = chosen;
    }
    others.truncate(room);
    if announce.address != seeder {
        others.insert(0, seeder);
    }
    others
}

fn answer(complete: usize, incomplete: usize, peers: &[SocketAddr]) -> Vec<u8> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for peer in peers {
        match peer.ip().to_canonical() {
            IpAddr::V4(ip) => v4.extend(ip.octets().into_iter().chain(peer.port().to_be_bytes())),
            IpAddr::V6(ip) => v6.extend(ip.octets().into_iter().chain(peer.port().to_be_bytes())),
        }
    }
    let seconds = INTERVAL.as_secs();
    let mut out = format!(
        "d8:completei{complete}e10:incompletei{incomplete}e8:intervali{seconds}e12:min intervali10e5:peers{}:",
        v4.len()
    )
    .into_bytes();
    out.extend(&v4);
    if !v6.is_empty() {
        out.extend(format!("6:peers6{}:", v6.len()).bytes());
        out.extend(&v6);
    }
    out.push(b'e');
    out
}

/// A refusal, as a peer's user sees it.
pub(crate) fn failure(reason: &str) -> Vec<u8> {
    format!("d14:failure reason{}:{reason}e", reason.len()).into_bytes()
}

/// Answer to a scrape.
pub(crate) fn scrape_answer(scrapes: &[Scrape]) -> Vec<u8> {
    let mut out = b"d5:filesd".to_vec();
    for scrape in scrapes {
        out.extend(b"20:");
        out.extend(scrape.info_hash);
        let Scrape { complete, incomplete, downloaded, .. } = scrape;
        out.extend(
            format!("d8:completei{complete}e10:downloadedi{downloaded}e10:incompletei{incomplete}ee").bytes(),
        );
    }
    out.extend(b"ee");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: [u8; 20] = [7; 20];
    const SEEDER: ([u8; 4], u16) = ([10, 0, 0, 1], 6881);

    fn tracker(sites: &[&str]) -> Tracker {
        Tracker::new([HASH], sites.iter().map(|s| s.parse().unwrap()).collect())
    }

    fn announce(n: u8) -> Announce {
        Announce {
            info_hash: HASH,
            peer_id: [n; 20],
            address: ([10, 0, 0, n], 5000).into(),
            left: 1,
            event: AnnounceEvent::Started,
            wanted: None,
        }
    }

    /// The IPv4 peers of an answer.
    fn peers(answer: &[u8]) -> Vec<SocketAddr> {
        let at = answer.windows(7).position(|w| w == b"5:peers").unwrap() + 7;
        let colon = at + answer[at..].iter().position(|b| *b == b':').unwrap();
        let length: usize = std::str::from_utf8(&answer[at..colon]).unwrap().parse().unwrap();
        let list = &answer[colon + 1..colon + 1 + length];
        assert_eq!(answer[colon + 1 + length..], *b"e");
        list.as_chunks::<6>()
            .0
            .iter()
            .map(|p| ([p[0], p[1], p[2], p[3]], u16::from_be_bytes([p[4], p[5]])).into())
            .collect()
    }

    fn ask(tracker: &mut Tracker, announce: &Announce, now: Instant) -> Vec<SocketAddr> {
        peers(&tracker.announce(announce, SEEDER.into(), now).unwrap())
    }

    #[test]
    fn a_classroom_becomes_a_full_mesh_with_the_seeder_in_it() {
        let (mut tracker, now) = (tracker(&[]), Instant::now());
        for n in 2..=40 {
            let list = ask(&mut tracker, &announce(n), now);
            assert_eq!(list[0], SEEDER.into());
            assert_eq!(list.len(), usize::from(n) - 1);
            assert!(!list.contains(&announce(n).address));
        }
        let scrape = tracker.scrape(&[], now)[0];
        assert_eq!((scrape.complete, scrape.incomplete), (1, 39));
    }

    #[test]
    fn large_rooms_get_a_bounded_list_with_neighbours_first() {
        let (mut tracker, now) =
            (tracker(&["L=10.0.0.2-10.0.0.100", "R=10.0.0.101-10.0.0.250"]), Instant::now());
        (2..=250).for_each(|n| drop(ask(&mut tracker, &announce(n), now)));
        let list = ask(&mut tracker, &announce(5), now);
        assert_eq!(list.len(), MAX_PEERS);
        let near =
            list.iter().filter(|a| matches!(a.ip(), IpAddr::V4(ip) if (2..=100).contains(&ip.octets()[3])));
        let near = near.count();
        assert!((66..90).contains(&near), "{near}");
        assert_eq!(ask(&mut tracker, &Announce { wanted: Some(3), ..announce(5) }, now).len(), 3);
        assert_eq!(ask(&mut tracker, &Announce { wanted: Some(0), ..announce(5) }, now).len(), 0);
        assert_eq!(ask(&mut tracker, &Announce { wanted: Some(999), ..announce(5) }, now).len(), MAX_PEERS);
    }

    #[test]
    fn machines_of_the_sites_on_the_routes_come_after_those_of_the_own() {
        let sites: Vec<String> =
            (0..5).map(|n| format!("{n}=10.0.0.{}-10.0.0.{}", 2 + 40 * n, 41 + 40 * n)).collect();
        let sites: Vec<&str> = sites.iter().map(String::as_str).collect();
        let (mut tracker, now) = (tracker(&sites), Instant::now());
        (2..=201).for_each(|n| drop(ask(&mut tracker, &announce(n), now)));
        for (own, before, after) in [(2, 162, 42), (43, 2, 82), (201, 122, 2)] {
            let list = ask(&mut tracker, &announce(own), now);
            let at = |first: u8| {
                let there =
                    |ip| matches!(ip, IpAddr::V4(ip) if (first..first + 40).contains(&ip.octets()[3]));
                list.iter().filter(|a| there(a.ip())).count()
            };
            let (own, before, after) = (at((own - 2) / 40 * 40 + 2), at(before), at(after));
            assert_eq!((own, before + after), (39, MAX_PEERS - 40));
            assert!(before.min(after) > 15, "{before} {after}");
        }
    }

    #[test]
    fn those_who_left_or_fell_silent_are_not_named() {
        let (mut tracker, now) = (tracker(&[]), Instant::now());
        ask(&mut tracker, &announce(2), now);
        ask(&mut tracker, &announce(3), now);
        ask(&mut tracker, &Announce { event: AnnounceEvent::Stopped, ..announce(2) }, now);
        assert_eq!(ask(&mut tracker, &announce(4), now), [SEEDER.into(), announce(3).address]);
        assert_eq!(ask(&mut tracker, &announce(5), now + EXPIRY), [SEEDER.into()]);
    }

    #[test]
    fn a_restarted_peer_is_named_once() {
        let (mut tracker, now) = (tracker(&[]), Instant::now());
        ask(&mut tracker, &announce(2), now);
        ask(&mut tracker, &Announce { peer_id: [99; 20], ..announce(2) }, now);
        assert_eq!(ask(&mut tracker, &announce(3), now), [SEEDER.into(), announce(2).address]);
    }

    #[test]
    fn who_makes_up_peers_crowds_out_its_own() {
        let (mut tracker, now) = (tracker(&[]), Instant::now());
        ask(&mut tracker, &announce(2), now);
        for n in 0..1000_u16 {
            let mut peer_id = [3; 20];
            peer_id[..2].copy_from_slice(&n.to_be_bytes());
            let address = ([10, 0, 0, 3], 1000 + n).into();
            let later = now + Duration::from_millis(n.into());
            ask(&mut tracker, &Announce { peer_id, address, ..announce(3) }, later);
        }
        assert_eq!(tracker.scrape(&[], now)[0].incomplete, 1 + MAX_PER_ADDRESS);
        let list = ask(&mut tracker, &announce(4), now + Duration::from_secs(1));
        assert!(list.contains(&announce(2).address), "{list:?}");
    }

    #[test]
    fn other_torrents_are_refused() {
        let stranger = Announce { info_hash: [8; 20], ..announce(2) };
        assert!(tracker(&[]).announce(&stranger, SEEDER.into(), Instant::now()).is_err());
    }

    #[test]
    fn completions_are_counted_and_addresses_of_version_6_named_apart() {
        let (mut tracker, now) = (tracker(&[]), Instant::now());
        let six = Announce {
            address: "[fd00::2]:7000".parse().unwrap(),
            left: 0,
            event: AnnounceEvent::Completed,
            ..announce(2)
        };
        tracker.announce(&six, SEEDER.into(), now).unwrap();
        let answer = tracker.announce(&announce(3), SEEDER.into(), now).unwrap();
        assert!(answer.windows(12).any(|w| w == b"6:peers618:\xfd"));
        let scrape = tracker.scrape(&[HASH], now)[0];
        assert_eq!((scrape.complete, scrape.incomplete, scrape.downloaded), (2, 1, 1));
        assert!(scrape_answer(&[scrape]).starts_with(b"d5:filesd20:\x07"));
    }
}
