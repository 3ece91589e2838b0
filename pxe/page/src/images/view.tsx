// What each image holds, and where it is used.

import type { Image, Machine, Room } from "../live/types";
import { machineAddress } from "../route";
import { count, nameOf, size } from "../words";

export function ImagesView({ room }: { room: Room }) {
  const machines = Object.values(room.machines);
  return (
    <>
      <h1>Images</h1>
      {room.images.map((image) => (
        <ImageCard key={image.name} image={image} users={machines.filter((machine) => gets(machine, image))} />
      ))}
    </>
  );
}

/** A machine that gets a set of disks names the set; its images are below that name. */
const gets = (machine: Machine, image: Image) =>
  machine.image != null && (image.name === machine.image || image.name.startsWith(`${machine.image}/`));

function ImageCard({ image, users }: { image: Image; users: Machine[] }) {
  const { name, payload_bytes, notes, created, partitions } = image;
  return (
    <article class="card" aria-label={`Image ${name}`}>
      <h2>{name}</h2>
      <p>
        {size(payload_bytes)} for each machine. Made {new Date(created).toLocaleString()}.
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls sideways is reached by keyboard */}
      <section class="scroll" aria-label={`Partitions of ${name}`} tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Part</th>
              <th scope="col">File system</th>
              <th scope="col">Label</th>
              <th scope="col">Size</th>
              <th scope="col">In the image</th>
            </tr>
          </thead>
          <tbody>
            {partitions.map((partition) => (
              <tr key={partition.name}>
                <th scope="row">{partition.name}</th>
                <td>{partition.filesystem ?? "–"}</td>
                <td>{partition.label ?? "–"}</td>
                <td class="number">{size(partition.size_bytes)}</td>
                <td class="number">{size(partition.payload_bytes)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {notes.length > 0 && (
        <>
          <h3>Notes</h3>
          <ul>
            {notes.map((note) => (
              <li key={note}>{note}</li>
            ))}
          </ul>
        </>
      )}
      <h3>Used by {count(users.length, "machine")}</h3>
      {users.length > 0 && (
        <p class="names">
          {users.slice(0, 100).map((machine) => (
            <a key={machine.id} href={machineAddress(machine.id)}>
              {nameOf(machine)}
            </a>
          ))}
          {users.length > 100 && <span>and {users.length - 100} more</span>}
        </p>
      )}
    </article>
  );
}
