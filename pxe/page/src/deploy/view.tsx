// Deployments: seen beforehand, ordered, kept for later, and taken back.

import type { Room } from "../live/types";
import { useAsked } from "../widgets/asked";
import { NewDeployment } from "./new";
import { NextBoot } from "./next-boot";
import { Orders } from "./orders";
import { type ScheduleList, Schedules } from "./schedules";

/** Schedules are looked at anew so often, in seconds: they are carried out, and others make some too. */
const LOOK_S = 15;

export function DeployView({ room, mayAct }: { room: Room; mayAct: boolean }) {
  const schedules = useAsked<ScheduleList>("api/schedules", LOOK_S);
  const others = (
    <>
      <Orders room={room} mayAct={mayAct} />
      <Schedules room={room} asked={schedules} mayAct={mayAct} />
    </>
  );
  return (
    <>
      <h1>Deploy</h1>
      {mayAct ? (
        <NewDeployment room={room} onKept={schedules.again}>
          {others}
        </NewDeployment>
      ) : (
        others
      )}
      <NextBoot room={room} />
    </>
  );
}
