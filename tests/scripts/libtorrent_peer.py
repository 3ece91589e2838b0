"""One libtorrent peer: takes a torrent into a folder and seeds it from there for ever.

Prints {"event":"complete"} when everything is there and verified, and a line of progress a second.
Connections and upload slots are the ones with which EZIO (libtorrent 2.0) did best in a classroom.
"""
import argparse
import json
import sys
import time

import libtorrent as lt

parser = argparse.ArgumentParser()
parser.add_argument("torrent")
parser.add_argument("folder")
parser.add_argument("--listen", default="0.0.0.0:6881")
parser.add_argument("--connections", type=int, default=6)
parser.add_argument("--uploads", type=int, default=5)
parser.add_argument("--peer", action="append", default=[], help="address:port to connect to")
parser.add_argument("--tracker", action="append", default=[], help="announce here instead of the torrent's own")
parser.add_argument("--end", action="store_true", help="end once complete, instead of seeding")
options = parser.parse_args()

session = lt.session({
    "listen_interfaces": options.listen,
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_outgoing_utp": False,
    "enable_incoming_utp": False,
    "allow_multiple_connections_per_ip": True,
    "connection_speed": 200,
    "min_reconnect_time": 1,
    "unchoke_slots_limit": options.uploads,
    "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
})
parameters = lt.add_torrent_params()
parameters.ti = lt.torrent_info(options.torrent)
parameters.save_path = options.folder
parameters.max_connections = options.connections
parameters.max_uploads = options.uploads
parameters.flags &= ~lt.torrent_flags.auto_managed
parameters.flags &= ~lt.torrent_flags.paused
if options.tracker:
    parameters.trackers = options.tracker
    parameters.flags |= lt.torrent_flags.override_trackers
torrent = session.add_torrent(parameters)
for peer in options.peer:
    host, port = peer.rsplit(":", 1)
    torrent.connect_peer((host, int(port)))


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


complete = False
while True:
    session.wait_for_alert(1000)
    for alert in session.pop_alerts():
        if alert.category() & lt.alert.category_t.error_notification:
            print(alert.message(), file=sys.stderr, flush=True)
    status = torrent.status()
    if status.is_seeding and not complete:
        complete = True
        say("complete", done_bytes=status.total_done)
        if options.end:
            # What the disk threads still hold is written when the session goes.
            del torrent, session
            sys.exit(0)
    if not complete:
        say("progress", done_bytes=status.total_done, peers=status.num_peers)
        time.sleep(0.05)
