// What is set of a deployment: which machines, what, and when.

import { useState } from "preact/hooks";
import type { Room } from "../live/types";
import { groupsOf } from "../room/filter";
import { Choice } from "../widgets/choice";
import { Names } from "../widgets/names";
import { count } from "../words";
import { When } from "./when";
import { type Draft, ENDS, groupChoice, imageNames } from "./wish";

interface Props {
  room: Room;
  draft: Draft;
  /** Ids. */
  chosen: string[];
  onChange: (draft: Draft) => void;
  onSubmit: () => Promise<void>;
  error: string | null;
}

export function Form({ room, draft, chosen, onChange, onSubmit, error }: Props) {
  const [busy, setBusy] = useState(false);
  const set = (changed: Partial<Draft>) => onChange({ ...draft, ...changed });
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    await onSubmit();
    setBusy(false);
  };
  const machines = Object.keys(room.machines).length;
  const groups = groupsOf(Object.values(room.machines));
  const nobody = draft.who === "chosen" && chosen.length === 0;
  return (
    <form class="card form" aria-labelledby="new" onSubmit={submit}>
      <h2 id="new">New deployment</h2>
      <Choice
        label="Machines"
        value={draft.who}
        onChange={(who) => set({ who })}
        options={[
          ["all", `all ${count(machines, "known machine")}`],
          ...groups.map(([name, members]): [string, string] => [groupChoice(name), `group ${name} (${members})`]),
          ["chosen", `chosen in the room (${chosen.length})`],
        ]}
      />
      {draft.who === "chosen" && (
        <p class="dim">
          <Names room={room} ids={chosen} /> {nobody && "Nobody is chosen. "}
          <a href="#/">Choose in the room</a>
        </p>
      )}
      <Choice
        label="Image"
        value={draft.image}
        onChange={(image) => set({ image })}
        options={[["", "as ezio.conf says"], ...imageNames(room).map((name): [string, string] => [name, name])]}
      />
      <Choice
        label="Afterwards"
        value={draft.end}
        onChange={(end) => set({ end })}
        options={[["", "as ezio.conf says"], ...Object.entries(ENDS)]}
      />
      <Check label="Switch the machines on" checked={draft.wake} onChange={(wake) => set({ wake })}>
        by Wake-on-LAN, when it begins
      </Check>
      <Check label="Give up what their disks hold" checked={draft.approve} onChange={(approve) => set({ approve })}>
        else a machine waits whose disk holds what was not deployed here
      </Check>
      <When draft={draft} onChange={set} />
      <div role="alert">{error && <p class="error">{error}</p>}</div>
      <button type="submit" class="primary" disabled={busy || nobody || machines === 0}>
        See what would happen
      </button>
    </form>
  );
}

interface CheckProps {
  label: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
  children: string;
}

function Check({ label, checked, onChange, children }: CheckProps) {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.currentTarget.checked)} />
      <span>
        {label} <small class="dim">{children}</small>
      </span>
    </label>
  );
}
