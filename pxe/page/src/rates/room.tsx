// What the room receives over the last deployment, beside what the links of those who receive would carry.

import { useMemo } from "preact/hooks";
import type { Rates } from "../live/types";
import { Chart, type Line } from "../widgets/chart";
import { count, linkRate, rate, timeOfDay } from "../words";
import { average, type Columns, columnsOf } from "./series";

const LINES: Line[] = [
  { name: "machines receive", colour: "--working" },
  { name: "their links would carry", colour: "--dim", dash: [2, 4] },
  { name: "the server sends", colour: "--silent", dash: [8, 4] },
];

/** `link` is the rate of one link in megabits a second. */
export function RoomRates({ rates, link }: { rates: Rates; link: number }) {
  const columns = useMemo(() => withLinks(rates, link), [rates, link]);
  // A point is no line.
  if (columns[0].length < 2) return null;
  return (
    <Chart title="Rates of the room" lines={LINES} columns={columns}>
      {sentence(rates, columns, link)}
    </Chart>
  );
}

/** What machines receive, what their links would carry, and what the server sends. */
function withLinks(rates: Rates, link: number): Columns {
  const [times, received, sent, machines] = columnsOf(rates, 3);
  const carried = (machines ?? []).map((count) => count && (count * link * 1e6) / 8);
  return [times, received ?? [], carried, sent ?? []];
}

function sentence(rates: Rates, [times, received, carried]: Columns, link: number): string {
  const most = Math.max(0, ...Object.values(rates.samples).map(([, , machines]) => machines ?? 0));
  const share = Math.round((100 * average(received)) / Math.max(1, average(carried)));
  const last = timeOfDay((times[times.length - 1] ?? 0) + rates.step_s);
  return (
    `From ${timeOfDay(rates.since)} to ${last} up to ${count(most, "machine")} received ${rate(Math.round(average(received)))} ` +
    `on average, ${share} % of what their links would carry at ${linkRate(link)}.`
  );
}
