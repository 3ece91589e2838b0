"""One session of librqbit: takes a torrent into a folder and seeds it from there.

Prints {"event":"complete"} when everything is there and verified.
"""
import argparse
import json
import time

import pyrqbit

parser = argparse.ArgumentParser()
parser.add_argument("torrent")
parser.add_argument("folder")
parser.add_argument("port", type=int)
parser.add_argument("--end", action="store_true", help="end once complete, instead of seeding")
options = parser.parse_args()

session = pyrqbit.Session(options.folder, listen_port=options.port, disable_dht=True)
# "overwrite": what is there is looked at, not refused.
torrent = session.add_torrent(options.torrent, output_folder=options.folder, overwrite=True)
while torrent.stats()["progress_percent"] < 100:
    time.sleep(0.05)
print(json.dumps({"event": "complete"}), flush=True)
while not options.end:
    time.sleep(60)
session.stop()
