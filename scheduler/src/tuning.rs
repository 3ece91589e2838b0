//! All numbers of the policy, each with its unit and where it comes from. `simulate --sensitivity` says what half and double of each
//! do to some rooms; `docs/scheduler.md` has what it said, and the experiments.

use std::time::Duration;

/// One number of the policy.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    /// Its name in [`Tuning`].
    pub name: &'static str,
    /// Its unit: `ms`, `bytes`, or what it counts.
    pub unit: &'static str,
    /// What it is and where it comes from.
    pub what: &'static str,
    get: fn(&Tuning) -> f64,
    set: fn(&mut Tuning, f64),
}

impl Number {
    /// The number of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        NUMBERS.iter().find(|number| number.name == name)
    }

    /// Its value, in its unit.
    pub fn get(&self, tuning: &Tuning) -> f64 {
        (self.get)(tuning)
    }

    /// Sets it; what counts is rounded.
    pub fn set(&self, tuning: &mut Tuning, value: f64) {
        (self.set)(tuning, value);
    }
}

/// What a number is in the program.
trait Value {
    fn get(self) -> f64;
    fn of(value: f64) -> Self;
}

impl Value for Duration {
    fn get(self) -> f64 {
        self.as_secs_f64() * 1e3
    }
    fn of(ms: f64) -> Self {
        Self::from_secs_f64(ms.max(0.0) / 1e3)
    }
}

impl Value for u32 {
    fn get(self) -> f64 {
        self.into()
    }
    fn of(value: f64) -> Self {
        value.round() as Self
    }
}

impl Value for f64 {
    fn get(self) -> f64 {
        self
    }
    fn of(value: f64) -> Self {
        value
    }
}

macro_rules! numbers {
    ($($(#[doc = $what:literal])+ $name:ident: $value:ty = $default:expr, $unit:literal;)+) => {
        /// The numbers of the policy; the defaults are measured.
        #[derive(Debug, Clone)]
        pub struct Tuning {
            $($(#[doc = $what])+ pub $name: $value,)+
        }

        impl Default for Tuning {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        /// All numbers of [`Tuning`].
        pub const NUMBERS: &[Number] = &[$(Number {
            name: stringify!($name),
            unit: $unit,
            what: concat!($($what),+),
            get: |tuning| Value::get(tuning.$name),
            set: |tuning, value| tuning.$name = Value::of(value),
        },)+];
    };
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

numbers! {
    /// Time between two looks at rates, late requests and stalled connections: a few packets of the slowest links.
    tick: Duration = ms(50), "ms";
    /// Rates are averaged over about so long: some rounds of requests.
    rate_memory: Duration = ms(600), "ms";
    /// What the link carried for less than this was a burst out of some buffer.
    link_burst: Duration = ms(2000), "ms";
    /// What the link once carried is forgotten about so fast.
    link_forget: Duration = ms(100_000), "ms";

    /// Requests are kept outstanding for so much of what the own link carries: the time that a piece waits at a busy neighbour.
    ahead: Duration = ms(500), "ms";
    /// Bytes outstanding at least.
    ahead_min: u32 = 512 << 10, "bytes";
    /// Bytes outstanding at most: what 24 MiB of memory hold.
    ahead_max: u32 = 24 << 20, "bytes";
    /// A run of requests is what comes in so long.
    run: Duration = ms(25), "ms";
    /// Bytes of one run on the wire, at least: the smallest piece of common torrents. What comes packed stands for more.
    run_min: u32 = 64 << 10, "bytes";
    /// Bytes of one run, at most.
    run_max: u32 = 1 << 20, "bytes";
    /// Missing pieces that may be chosen from, from the first missing on: what is written stays in order.
    window: u32 = 256, "pieces";
    /// Machines that ask for a piece at once, for each copy of it, at the start: few must spread what there is.
    fan: f64 = 8.0, "machines";
    /// The same at most: later so much is under way that waiting would leave links idle.
    fan_most: f64 = 32.0, "machines";
    /// What each piece that is here adds to it.
    fan_growth: f64 = 0.06, "machines";
    /// Who waits for nothing for so long asks for rare pieces like two.
    fan_haste: Duration = ms(50), "ms";
    /// How fast a peer was that was asked for nothing for so long says nothing any more: else who was slow once would not be
    /// asked again, as long as others have enough.
    forgotten: Duration = ms(2000), "ms";
    /// A peer that was slow counts as no slower than this part of the others, so that it is asked at all.
    slowest_peer: f64 = 1.0 / 8.0, "of the mean";
    /// Nobody counts as slower than this: a block in 16 s, less than any link carries.
    rate_least: f64 = 1000.0, "bytes a second";
    /// By up to so many times the waits at two peers differ by chance alone, so that not all ask the same one.
    jitter: f64 = 1.25, "times";
    /// A peer is asked for what it sends in so long, at most: what waits longer is asked elsewhere by then.
    peer_queue: Duration = ms(1000), "ms";
    /// Suggestions remembered of one connection: more than a server makes ahead with the smallest pieces.
    suggestions: u32 = 4096, "pieces";

    /// Requests not answered for so long are asked elsewhere, until it is known how long answers take; or, of a client of another
    /// kind that answers later ones, or none any more, once more of itself.
    late: Duration = ms(2000), "ms";
    /// Each answer counts for so much of how long answers take (RFC 6298),
    answer_gain: f64 = 1.0 / 8.0, "of the smoothed time";
    /// and of how far they are from it (RFC 6298).
    deviation_gain: f64 = 1.0 / 4.0, "of the deviation";
    /// What takes so many deviations longer than the smoothed time is late (RFC 6298).
    deviations: f64 = 4.0, "deviations";
    /// But not sooner than after this (RFC 6298),
    late_least: Duration = ms(1000), "ms";
    /// or this where it is not taken from who is late,
    late_racing: Duration = ms(250), "ms";
    /// and no later than after this.
    late_most: Duration = ms(7500), "ms";
    /// A connection that owes us blocks and sends none of them for so long is closed: what TCP needs to recover is shorter.
    dead: Duration = ms(30_000), "ms";
    /// Who was late and owes nothing any more is asked again after so long.
    forgiven: Duration = ms(5000), "ms";
    /// Late blocks asked again in one tick, at most.
    late_at_once: u32 = 64, "blocks";
    /// A piece that came from one machine alone and was wrong so often shuns the machine.
    strikes: u32 = 2, "pieces";

    /// Requests for less than so much of the link are few: time to offer something.
    few: Duration = ms(100), "ms";
    /// Time between two offers: what a packet takes on a slow link.
    offer: Duration = ms(5), "ms";
    /// Time between two offers to the same member: a few rounds.
    offer_again: Duration = ms(200), "ms";
    /// Members looked at for an offer, at most.
    offer_tries: u32 = 8, "members";

    /// Who was told of pieces hears of further ones so much later, or with whatever else is sent to it.
    announce: Duration = ms(2000), "ms";
    /// At the next site others than who is to fetch it hear of a piece so much later, or with whatever else is sent to them: a
    /// dozen HAVEs then are one packet on the cable.
    announce_far: Duration = ms(8000), "ms";
    /// At the next site so many members hear of a piece: the one that is to fetch it, and who is next in rank.
    called: u32 = 2, "members";
    /// So many members that have a piece call one of them, about: each HAVE and its ACK cross the cable.
    callers: u32 = 4, "members";
    /// So often we look for who is to be told.
    announce_sweep: Duration = ms(125), "ms";
    /// A piece that fewer others have is announced at once, at the start.
    rare_at_first: u32 = 3, "copies";
    /// And later.
    rare: u32 = 1, "copies";
    /// Pieces that are here when the start is over.
    ramp: u32 = 150, "pieces";

    /// Connections served at the same time, while each of them takes what it is given.
    slots: u32 = 5, "connections";
    /// A served connection that took nothing for so long gives its slot to another,
    stall: Duration = ms(60), "ms";
    /// or for so many rounds of what all slots send at once. (After 1.25 a server on a busy host served dozens at once.)
    stall_rounds: f64 = 2.5, "rounds";
    /// And never longer than this.
    stall_most: Duration = ms(1000), "ms";
    /// Connections served at the same time at most, also if none of them takes anything: each keeps a block or two in the kernel, and
    /// until a room has found its switches that has to cross the cables. (With 6, rooms with faults take longer.)
    slots_most: u32 = 8, "connections";
    /// The driver is given ahead what leaves in so long, for one connection.
    given: Duration = ms(20), "ms";
    /// And no more than that.
    given_most: u32 = 2 << 20, "bytes";
    /// The first so many pieces, if they are large, are passed on to one child at a time.
    first: u32 = 8, "pieces";
    /// A piece of so many bytes is large.
    first_size: u32 = 256 << 10, "bytes";
    /// While children take what there is, somebody else has a turn so often.
    others: Duration = ms(1000), "ms";

    /// The server keeps so much of its upload rate assigned ahead; up to twice as much where that is few pieces.
    steer: Duration = ms(150), "ms";
    /// Bytes the server keeps assigned ahead, at least.
    steer_min: u32 = 192 << 10, "bytes";
    /// Bytes the server keeps assigned ahead, at most.
    steer_max: u32 = 48 << 20, "bytes";
    /// Of large pieces so many are under way from the server, at least: a receiver shares its link with others.
    steer_pieces: f64 = 1.25, "pieces";
    /// And so many at most: what a slow receiver was given holds up all others.
    steer_pieces_most: f64 = 2.5, "pieces";
    /// A member at another site than the server's gets a piece when those at the server's have so many more that nobody else has.
    spill: u32 = 16, "pieces";
    /// A suggestion that was not taken up for so long has been ignored.
    ignored: Duration = ms(1000), "ms";
    /// Who took nothing of what it asked for so long ago does not keep the server from giving to others.
    asleep: Duration = ms(4000), "ms";
    /// A piece that was asked for so long ago and is not announced was lost on its way, or came corrupt from somebody else. A
    /// piece takes a second on a thin link, and its announcement waits for two.
    lost: Duration = ms(4000), "ms";

    /// Who is next in rank fetches a piece across after so long without anything under way.
    next_rank: Duration = ms(1000), "ms";

    /// Members from which on new pieces travel down trees.
    forest: u32 = 64, "members";
    /// For so long a room that has become large shows who is quick, before trees are planted: for the first of it members ask nobody
    /// but the server (`probe_warm`), and where cables show in their echoes there are to be no trees.
    settle: Duration = ms(1200), "ms";
    /// Members get places before so many pieces have left,
    early: u32 = 64, "pieces";
    /// or this part of all.
    early_part: f64 = 1.0 / 8.0, "of all pieces";
    /// Pieces that leave for one tree before the other's, at most.
    lead: u32 = 3, "pieces";
    /// A parent that cannot be reached for so long is none: longer than a dial and its repetition.
    unreached: Duration = ms(5000), "ms";
    /// Pieces asked ahead of each parent, at least: one that comes and one that waits.
    relay_ahead: u32 = 2, "pieces";
    /// A piece that so many neighbours have comes down no tree any more.
    common: f64 = 0.75, "of the neighbours";
    /// Time between two looks at the trees: long beside the two seconds that a HAVE waits for company.
    watch: Duration = ms(8000), "ms";
    /// A server that sends less than this part of what its link carries is held up by a member next to it.
    held_up: f64 = 0.8, "of the link";
    /// Pieces that most must have got from one look to the next, for it to say something.
    watch_enough: f64 = 16.0, "pieces";
    /// What a room gains by trees, about.
    tree_gain: f64 = 0.03, "of its time";

    /// For so long a machine that has come sends probes.
    probe_for: Duration = ms(800), "ms";
    /// Probes say nothing in the beginning: before all send them no link is full.
    probe_warm: Duration = ms(150), "ms";
    /// Probes under way at once,
    probes: u32 = 3, "probes";
    /// beside those that take longer than this: several times what a full queue at a machine's own link takes.
    probe_slow: Duration = ms(150), "ms";
    /// And so many of these: a cable has to carry them all before it carries pieces.
    probes_slow: u32 = 5, "probes";
    /// Whose echo took less is near, until more is known.
    probe_near: Duration = ms(40), "ms";
    /// So long at most a machine waits to be told where it is, if some probes were slow.
    probe_wait: Duration = ms(2500), "ms";
    /// The server looks at echoes when so many machines have told of theirs: some say little of all.
    probe_told: f64 = 0.9, "of all machines";
    /// And so often at most, when there are new ones.
    probe_look: Duration = ms(125), "ms";
    /// Or in this time for each machine: a look takes some 0.12 ms for each.
    echoes_for_each: Duration = ms(1), "ms";
    /// Parts of a room are true if the time of an echo tells so much of whether a pair is in one of them. (At one switch it tells
    /// 0.13, with three slow machines there 0.37; with cables between 0.61 and more.)
    probe_tells: f64 = 0.55, "of what there is to tell";
    /// And so much where machines have other things to send by then.
    probe_tells_busy: f64 = 0.85, "of what there is to tell";
    /// Partings that tell so much less than another are as good, and of them the likeliest is taken: what tells most leaves out whoever is
    /// not clear, and what is likeliest takes two parts for one where some cables are fuller than others.
    probe_alike: f64 = 0.05, "of what there is to tell";
    /// From so many parts on, which the first echoes show, all machines are to probe some of each before these are sites.
    many: u32 = 10, "parts";
    /// Who is at no site when there are some is to probe so many members of each,
    meet: u32 = 3, "members";
    /// and so many at most in all.
    meet_most: u32 = 60, "members";
    /// When echoes have shown who is where, that is not doubted for so many looks: what streams did before says little of it.
    probe_looks: u32 = 8, "looks";
    /// So many sites are a ring; of more, trees are quicker. (Eight of 12 machines, told: a ring 1.108 S/B, trees 1.109; behind a chain of
    /// switches 1.1 and 2.1; 25 of 40: 1.293 and 1.170.)
    ring: u32 = 8, "sites";
    /// How pieces travel between sites changes no more often, when their first machines come one after the other.
    reroute: Duration = ms(200), "ms";
    /// Time between two reports of a member about its streams.
    report: Duration = ms(500), "ms";
    /// In trees it is so much of the time that the member has been there, if that is more.
    report_part: f64 = 1.0 / 8.0, "of the time";
    /// Less time than this says nothing of a stream, if nothing was sent in it.
    brief: Duration = ms(100), "ms";
    /// The server looks at the shape of the room as often as members report, but no oftener than in this time for each machine: a look
    /// takes some 0.1 ms for each, and may take a fiftieth of a core.
    look_for_each: Duration = ms(5), "ms";
    /// What of older reports counts at a look: those of the last three seconds, about.
    flow_keep: f64 = 0.85, "of what was";
    /// A stream counts as no slower than this part of what its ends can do: what is blocked for a second is no worse than what
    /// crawls.
    slowest: f64 = 1.0 / 64.0, "of its ends'";
    /// What an end can do is the rate that so many of its streams exceed.
    best: f64 = 0.05, "of its streams";
    /// Bytes that a stream counts beyond what it carried: one packet, so that each has a rate.
    packet: f64 = 1448.0, "bytes";
    /// A machine with fewer streams cannot be told; nor can one be told by fewer to a site. (Who was put wrong has few to where it
    /// belongs. To ask for four kept it there for half of the image.)
    streams: u32 = 2, "streams";
    /// Fewer machines are no group.
    group: u32 = 3, "machines";
    /// A room is cut into so many parts at once, at most.
    parts: u32 = 4, "parts";
    /// One part more has to make a cut so many times clearer: chance gains by every part.
    more_parts: f64 = 1.15, "times";
    /// So many times slower than within groups, on the geometric mean, are streams between them. (At one switch the best cut
    /// comes to 2.5, with a cable between to 5 and more, in a star of three to 3.)
    clearly: f64 = 2.8, "times";
    /// So many times slower are they in all that is reported after the groups were seen.
    confirmed: f64 = 2.5, "times";
    /// So many times faster are the streams of a machine to the site that it belongs to.
    nearer: f64 = 2.0, "times";
    /// So many times faster are they, or the machine gets no site when a cut is made.
    apart: f64 = 1.3, "times";
    /// Parts between which so little is sent that so many looks do not say more are forgotten.
    looks: u32 = 16, "looks";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_can_be_read_and_set_by_its_name() {
        for number in NUMBERS {
            let mut tuning = Tuning::default();
            let value = number.get(&tuning);
            assert!(value > 0.0 && !number.what.is_empty(), "{}", number.name);
            number.set(&mut tuning, 2.0 * value);
            let others = NUMBERS.iter().filter(|other| other.get(&tuning) != other.get(&Tuning::default()));
            assert_eq!(others.map(|other| other.name).collect::<Vec<_>>(), [number.name]);
            assert!((Number::named(number.name).unwrap().get(&tuning) - 2.0 * value).abs() < 1e-6);
        }
        assert!(Number::named("none").is_none());
    }
}
