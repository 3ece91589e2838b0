// What each image holds, and where it is used; and the ezio.conf that says so.

import type { Caller } from "../account/caller";
import { ConfCard } from "../conf/view";
import type { Room } from "../live/types";
import { ImageCard } from "./card";

export function ImagesView({ room, caller }: { room: Room; caller: Caller }) {
  return (
    <>
      <h1>Images</h1>
      <p class="dim">
        When the server opens an image, it checks small files by their checksums and data by their sizes;{" "}
        <code>image-builder verify</code> reads all of it.
      </p>
      {room.images.map((image) => (
        <ImageCard key={image.name} image={image} room={room} />
      ))}
      <ConfCard room={room} caller={caller} />
    </>
  );
}
