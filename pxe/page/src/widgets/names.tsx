import { useState } from "preact/hooks";
import type { Room } from "../live/types";
import { byName } from "../room/filter";
import { machineAddress } from "../route";
import { nameOf } from "../words";

/** More than so many are shown when asked for. */
const SHOWN = 8;

/** The names of machines in their order, each a link. */
export function Names({ room, ids }: { room: Room; ids: string[] }) {
  const [all, showAll] = useState(false);
  const named = ids.map((id) => ({ id, name: room.machines[id] ? nameOf(room.machines[id]) : id }));
  named.sort((a, b) => byName.compare(a.name, b.name));
  const shown = all ? named : named.slice(0, SHOWN);
  return (
    <>
      {shown.map(({ id, name }, at) => (
        <span key={id}>
          {at > 0 && ", "}
          <a href={machineAddress(id)}>{name}</a>
        </span>
      ))}
      {shown.length < named.length && (
        <>
          {" "}
          <button type="button" class="more" onClick={() => showAll(true)}>
            and {named.length - shown.length} more
          </button>
        </>
      )}
    </>
  );
}
