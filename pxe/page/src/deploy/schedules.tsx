// What is kept for later.

import { useState } from "preact/hooks";
import { send } from "../acts/send";
import type { Room } from "../live/types";
import { Ask } from "../widgets/ask";
import type { Asked } from "../widgets/asked";
import { Names } from "../widgets/names";
import { dateTime } from "../words";
import { inWords, repeats, type Wish } from "./wish";

export interface Schedule extends Wish {
  id: number;
  when: { at: number } | { cron: string };
  /** Seconds since 1970. */
  next?: number | null;
}

export interface ScheduleList {
  schedules: Schedule[];
}

interface Props {
  room: Room;
  asked: Asked<ScheduleList>;
  mayAct: boolean;
}

export function Schedules({ room, asked: { value, error, again }, mayAct }: Props) {
  const [removes, remove] = useState<Schedule | null>(null);
  const go = async () => {
    const { error } = await send("POST", "api/schedules/remove", { id: removes?.id });
    if (error === null) await again();
    return error;
  };
  return (
    <section class="card" aria-labelledby="schedules">
      <h2 id="schedules">Kept for later</h2>
      <div role="alert">{error && <p class="error">{error}</p>}</div>
      {value?.schedules.length === 0 && <p class="dim">Nothing is scheduled.</p>}
      <ul class="rows">
        {value?.schedules.map((schedule) => (
          <li key={schedule.id}>
            <p>
              <b>{schedule.next ? dateTime(schedule.next) : "never again"}</b>
              {"cron" in schedule.when && `, ${repeats(schedule.when.cron)} by the server's clock`}
            </p>
            <p>
              <Meant schedule={schedule} room={room} />: {inWords(schedule)}
              {schedule.wake && ", switched on"}
              {schedule.approve && ", giving up what their disks hold"}{" "}
              <span class="dim">(schedule {schedule.id})</span>
            </p>
            {mayAct && (
              <p class="buttons">
                <button type="button" aria-label={`Remove schedule ${schedule.id}…`} onClick={() => remove(schedule)}>
                  Remove…
                </button>
              </p>
            )}
          </li>
        ))}
      </ul>
      {removes && (
        <Ask title={`Remove schedule ${removes.id}`} act="Remove" danger={false} onGo={go} onClose={() => remove(null)}>
          <p>It is not carried out any more. What it has ordered already stays ordered.</p>
        </Ask>
      )}
    </section>
  );
}

function Meant({ schedule: { machines }, room }: { schedule: Schedule; room: Room }) {
  if (machines === "all") return <>all machines</>;
  return Array.isArray(machines) ? <Names room={room} ids={machines} /> : <>group {machines.group}</>;
}
