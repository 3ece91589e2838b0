import type { Machine } from "../live/types";
import { failing } from "../machine/health";
import { rate, span, stateOf } from "../words";
import { timeLeft } from "./progress";

/** What a machine does now, in a few words, and before that what is wrong with its disk. */
export const statusOf = (machine: Machine, now: number): string =>
  failing(machine).length > 0 ? `disk is failing · ${runOf(machine, now)}` : runOf(machine, now);

function runOf(machine: Machine, now: number): string {
  const { done_bytes, total_bytes, down_bytes_per_s } = machine.progress;
  if (machine.silent) return `silent for ${span(now - machine.last_heard)}`;
  if (machine.state !== "working" || total_bytes === 0) return stateOf(machine);
  const left = timeLeft(machine);
  const percent = `${Math.floor((100 * done_bytes) / total_bytes)} %`;
  return [percent, rate(down_bytes_per_s), left === null ? "" : `${span(left)} left`].filter(Boolean).join(" · ");
}
