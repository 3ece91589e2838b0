// One image: what it is, what is in it, and where it is used.

import type { Image, Machine, Room } from "../live/types";
import { Fact } from "../widgets/fact";
import { Names } from "../widgets/names";
import { Table } from "../widgets/table";
import { count, dateTime, size } from "../words";

/** A machine that gets a set of disks names the set; its images are below that name. */
const isOf = (image: Image, name: string | null | undefined) =>
  name != null && (image.name === name || image.name.startsWith(`${name}/`));

const ids = (machines: Machine[]) => machines.map(({ id }) => id);

export function ImageCard({ image, room }: { image: Image; room: Room }) {
  const { name, notes } = image;
  const machines = Object.values(room.machines);
  return (
    <article class="card" aria-label={`Image ${name}`}>
      <h2>{name}</h2>
      <dl>
        <Fact name="For each machine">{size(image.payload_bytes)}</Fact>
        <Fact name="Needs a disk of">{image.needed_bytes != null && size(image.needed_bytes)}</Fact>
        <Fact name="Made">
          {dateTime(Date.parse(image.created) / 1000)}, by {image.builder}
          {image.arch && `, for ${image.arch}`}
        </Fact>
        <Fact name="Version">
          <code title={image.version}>{image.version.slice(0, 12)}</code>, {image.signed ? "signed" : "not signed"}
        </Fact>
        <Fact name="Checked">{dateTime(image.checked)}</Fact>
        <Fact name="Used">
          <Users image={image} room={room} machines={machines} />
        </Fact>
      </dl>
      <Partitions image={image} />
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
    </article>
  );
}

function Users({ image, room, machines }: { image: Image; room: Room; machines: Machine[] }) {
  const users = machines.filter((machine) => isOf(image, machine.image));
  const ordered = machines.filter(({ order }) => isOf(image, order?.image));
  return (
    <>
      <p>{image.in_conf ? "ezio.conf names it." : "ezio.conf does not name it."}</p>
      {ordered.length > 0 && (
        <p>
          Ordered for {count(ordered.length, "machine")}: <Names room={room} ids={ids(ordered)} />
        </p>
      )}
      <p>
        Last given to {count(users.length, "machine")}
        {users.length > 0 && ": "}
        <Names room={room} ids={ids(users)} />
      </p>
    </>
  );
}

const BYTES = ["Size", "In the image"];

function Partitions({ image: { name, partitions } }: { image: Image }) {
  return (
    <Table label={`Partitions of ${name}`} head={["Part", "File system", "Label", ...BYTES]} numbers={BYTES}>
      {partitions.map((partition) => (
        <tr key={partition.name}>
          <th scope="row">{partition.name}</th>
          <td>{partition.filesystem ?? "–"}</td>
          <td>{partition.label ?? "–"}</td>
          <td class="number">{size(partition.size_bytes)}</td>
          <td class="number">{size(partition.payload_bytes)}</td>
        </tr>
      ))}
    </Table>
  );
}
