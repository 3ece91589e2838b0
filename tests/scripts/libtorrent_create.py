"""Makes a torrent of a folder as libtorrent does by default: hybrid (BEP 52), its files padded to pieces (BEP 47)."""
import os
import sys

import libtorrent as lt

folder, torrent = sys.argv[1:]
files = lt.file_storage()
lt.add_files(files, folder)
create = lt.create_torrent(files, 16384)
lt.set_piece_hashes(create, os.path.dirname(folder))
with open(torrent, "wb") as file:
    file.write(lt.bencode(create.generate()))
