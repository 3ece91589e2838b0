// What needs somebody, before all else.

import { useState } from "preact/hooks";
import { ActButtons } from "../acts/button";
import { machineAddress } from "../route";
import { count, nameOf } from "../words";
import type { Problem } from "./problems";

/** More than this many are shown when asked for. */
const SHOWN = 12;

export function Problems({ problems, mayAct }: { problems: Problem[]; mayAct: boolean }) {
  const [all, showAll] = useState(false);
  if (problems.length === 0) return null;
  const shown = all ? problems : problems.slice(0, SHOWN);
  return (
    <section class="problems" aria-labelledby="problems">
      <h2 id="problems">{count(problems.length, "machine")} to look after</h2>
      <ul>
        {shown.map(({ machine, colour, what, why, toDo, acts }) => (
          <li key={machine.id} class={colour}>
            <h3>
              <a href={machineAddress(machine.id)}>{nameOf(machine)}</a> <span class="what">{what}</span>
            </h3>
            {why.map((why) => (
              <p key={why} class="why">
                {why}
              </p>
            ))}
            <p class="dim">{toDo}</p>
            <ActButtons machines={[machine]} mayAct={mayAct} acts={acts} />
          </li>
        ))}
      </ul>
      {problems.length > SHOWN && (
        <button type="button" aria-expanded={all} onClick={() => showAll(!all)}>
          {all ? "Show fewer" : `Show all ${problems.length}`}
        </button>
      )}
    </section>
  );
}
