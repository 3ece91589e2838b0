// A button for an act, and the dialog that asks first.

import { useState } from "preact/hooks";
import type { Machine } from "../live/types";
import { Ask } from "../widgets/ask";
import { count, nameOf } from "../words";
import { ACTS, type Act, ALL_ACTS, atStake, carryOut } from "./acts";

interface ButtonsProps {
  machines: Machine[];
  mayAct: boolean;
  acts?: Act[];
}

/** A button for each act that fits at least one of the machines, and is for those that it fits; none for who may not act. */
export function ActButtons({ machines, mayAct, acts = ALL_ACTS }: ButtonsProps) {
  if (!mayAct) return null;
  return (
    <p class="buttons">
      {acts.map((act) => (
        <ActButton key={act} act={act} machines={machines.filter(ACTS[act].fits)} />
      ))}
    </p>
  );
}

interface Props {
  act: Act;
  machines: Machine[];
}

function ActButton({ act, machines }: Props) {
  const [asked, ask] = useState<Machine[] | null>(null);
  return (
    <>
      {machines.length > 0 && (
        <button type="button" onClick={() => ask(machines)}>
          {machines.length > 1 ? `${ACTS[act].title} ${machines.length}…` : `${ACTS[act].title}…`}
        </button>
      )}
      {asked && <Confirm act={act} machines={asked} onClose={() => ask(null)} />}
    </>
  );
}

interface ConfirmProps {
  act: Act;
  machines: Machine[];
  onClose: () => void;
}

function Confirm({ act, machines, onClose }: ConfirmProps) {
  const { title, text, erases } = ACTS[act];
  return (
    <Ask
      title={`${title}: ${count(machines.length, "machine")}`}
      act={title}
      danger={erases}
      onGo={() => carryOut(act, machines)}
      onClose={onClose}
    >
      <p>{text}</p>
      <ul class="targets">
        {machines.map((machine) => (
          <li key={machine.id}>
            <b>{nameOf(machine)}</b> {erases && atStake(machine)}
          </li>
        ))}
      </ul>
    </Ask>
  );
}
