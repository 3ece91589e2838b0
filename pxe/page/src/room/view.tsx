// The room: how far it is, what needs somebody, and all machines.

import { useMemo } from "preact/hooks";
import { ActButtons } from "../acts/button";
import { DeployButton } from "../deploy/chosen";
import { serverNow } from "../live/connection";
import type { Room } from "../live/types";
import { RoomRates } from "../rates/room";
import { useKept } from "../widgets/kept";
import { count } from "../words";
import { EVERYTHING, filtered, groupsOf, inOrder } from "./filter";
import { usualLink } from "./link";
import { Picking } from "./picking";
import { Problems } from "./problem-list";
import { problemsOf } from "./problems";
import { SeatMap } from "./seats";
import { useSelection } from "./selection";
import { Summary } from "./summary";
import { MachineTable } from "./table";
import { Tiles } from "./tiles";
import { type Arrangement, Toolbar } from "./toolbar";

export function RoomView({ room, mayAct }: { room: Room; mayAct: boolean }) {
  const [filter, setFilter] = useKept("filter", EVERYTHING);
  const [arrangement, setArrangement] = useKept<Arrangement>("arrangement", "tiles");
  const now = serverNow();
  const machines = useMemo(() => inOrder(room.machines), [room.machines]);
  const usual = useMemo(() => usualLink(machines), [machines]);
  const [chosenLink, chooseLink] = useKept<number | null>("link", null);
  const link = chosenLink ?? usual;
  const groups = useMemo(() => groupsOf(machines), [machines]);
  const shown = useMemo(() => filtered(machines, filter), [machines, filter]);
  const problems = problemsOf(machines, now);
  const selecting = useSelection();
  const { selection } = selecting;
  const meant = selection ? machines.filter(({ id }) => selection.has(id)) : shown;
  if (machines.length === 0) {
    return (
      <>
        <h1>Room</h1>
        <p>
          No machine has been heard of yet. Start one from the network: it appears here when it asks for something to
          boot.
        </p>
      </>
    );
  }
  return (
    <>
      <h1 class="hidden">Room</h1>
      <Summary
        room={room}
        machines={machines}
        now={now}
        filter={filter}
        onFilter={setFilter}
        link={link}
        onLink={chooseLink}
      />
      <Problems problems={problems} mayAct={mayAct} />
      <RoomRates rates={room.rates} link={link} />
      <section aria-label="Machines">
        <Toolbar
          room={room}
          groups={groups}
          filter={filter}
          onFilter={setFilter}
          arrangement={arrangement}
          onArrangement={setArrangement}
        />
        <div class="buttons">
          <p class="dim" role="status">
            {shown.length === machines.length
              ? count(machines.length, "machine")
              : `${shown.length} of ${count(machines.length, "machine")}`}
            {selection && `, ${meant.length} selected`}
          </p>
          <Picking selecting={selecting} shown={shown} mayAct={mayAct} />
          <DeployButton machines={meant} mayAct={mayAct} />
          <ActButtons machines={meant} mayAct={mayAct} />
        </div>
        {arrangement === "tiles" && <Tiles machines={shown} now={now} selection={selection} />}
        {arrangement === "table" && <MachineTable machines={shown} now={now} selection={selection} />}
        {arrangement === "seats" && (
          <SeatMap machines={shown} seats={room.seats} mayAct={mayAct} now={now} selection={selection} />
        )}
      </section>
    </>
  );
}
