// What a machine receives and sends over its last run.

import { useEffect, useMemo, useState } from "preact/hooks";
import { ask } from "../acts/send";
import type { Machine, Rates } from "../live/types";
import { Chart, type Line } from "../widgets/chart";
import { rate } from "../words";
import { average, columnsOf, joined, knownUntil } from "./series";

const LINES: Line[] = [
  { name: "receives", colour: "--working" },
  { name: "sends", colour: "--silent", dash: [8, 4] },
];
/** What is new is asked for so often, in seconds, and not before a slot has ended. */
const LOOK_S = 2;

export function MachineRates({ machine }: { machine: Machine }) {
  const rates = useRates(machine);
  const columns = useMemo(() => rates && columnsOf(rates, LINES.length), [rates]);
  if (columns === null || columns[0].length < 2) return null;
  const [, received, sent] = columns;
  const words = (values: (number | null)[] | undefined) => rate(Math.round(average(values)));
  return (
    <Chart title="Its rates" lines={LINES} columns={columns}>
      {`It received ${words(received)} and sent ${words(sent)} on average.`}
    </Chart>
  );
}

/** Asked for once, and then what came later for as long as the machine is at work. */
function useRates({ id, times, state, silent }: Machine): Rates | null {
  const [rates, setRates] = useState<Rates | null>(null);
  const begun = times["first-byte"] !== undefined;
  const works = begun && !silent && !["again", "failed", "done"].includes(state);
  useEffect(() => {
    let known: Rates | null = null;
    let timer: number | undefined;
    let ended = false;
    const look = async () => {
      known = await later(id, known);
      if (ended) return;
      setRates(known);
      if (works) timer = setTimeout(look, 1000 * Math.max(LOOK_S, known?.step_s ?? 0));
    };
    setRates(null);
    if (begun) look();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [id, begun, works]);
  return rates;
}

/** What is known with what came later, or all of it anew; as it was where the server does not answer. */
async function later(id: string, known: Rates | null): Promise<Rates | null> {
  const address = `api/rates/${encodeURIComponent(id)}`;
  if (known) {
    const { value } = await ask<Rates>(`${address}?after=${knownUntil(known)}`);
    const whole = value && joined(known, value);
    if (value === null || whole) return whole ?? known;
  }
  return (await ask<Rates>(address)).value ?? known;
}
