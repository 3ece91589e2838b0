// Search, filters and arrangement.

import type { Kind, Room } from "../live/types";
import type { Filter } from "./filter";

export type Arrangement = "tiles" | "table" | "seats";

interface Props {
  room: Room;
  groups: [string, number][];
  filter: Filter;
  onFilter: (filter: Filter) => void;
  arrangement: Arrangement;
  onArrangement: (arrangement: Arrangement) => void;
}

const KINDS: (Kind | "all")[] = ["all", "failed", "silent", "waiting", "working", "done"];
const ARRANGEMENTS: [Arrangement, string][] = [
  ["tiles", "Tiles"],
  ["table", "Table"],
  ["seats", "Seats"],
];

export function Toolbar({ room, groups, filter, onFilter, arrangement, onArrangement }: Props) {
  return (
    <div class="toolbar">
      <label>
        <span>Search</span>
        <input
          type="search"
          value={filter.text}
          placeholder="name, serial, MAC, address…"
          onInput={(event) => onFilter({ ...filter, text: event.currentTarget.value })}
        />
      </label>
      <label>
        <span>State</span>
        <select
          value={filter.kind}
          onChange={(event) => onFilter({ ...filter, kind: event.currentTarget.value as Filter["kind"] })}
        >
          {KINDS.map((kind) => (
            <option key={kind} value={kind}>
              {kind}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span>Image</span>
        <select value={filter.image} onChange={(event) => onFilter({ ...filter, image: event.currentTarget.value })}>
          <option value="">all</option>
          {room.images.map(({ name }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      {groups.length > 0 && (
        <label>
          <span>Group</span>
          <select value={filter.group} onChange={(event) => onFilter({ ...filter, group: event.currentTarget.value })}>
            <option value="">all</option>
            {groups.map(([name]) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      )}
      <fieldset class="choice">
        <legend class="hidden">Arrangement</legend>
        {ARRANGEMENTS.map(([name, title]) => (
          <button key={name} type="button" aria-pressed={arrangement === name} onClick={() => onArrangement(name)}>
            {title}
          </button>
        ))}
      </fieldset>
    </div>
  );
}
