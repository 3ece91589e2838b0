// The ezio.conf that holds, a look at another one, and what puts that in its place.

import { type Caller, isAdministrator, mayAct } from "../account/caller";
import type { Room } from "../live/types";
import { useAsked } from "../widgets/asked";
import { Check } from "./check";

export interface Conf {
  text: string;
  version: string;
  origin: string;
  signed: boolean;
  /** Why no other can be put in its place from here, and what to do. */
  by_hand?: string;
}

export function ConfCard({ room, caller }: { room: Room; caller: Caller }) {
  const { value, error, again } = useAsked<Conf>("api/conf");
  return (
    <section class="card" aria-labelledby="conf">
      <h2 id="conf">ezio.conf</h2>
      {error && <p class="dim">{error}</p>}
      {value && (
        <>
          <p>
            What holds is from {value.origin}
            {value.signed && ", signed: nothing that is ordered here can lie over it"}
          </p>
          <Check conf={value} room={room} mayAct={mayAct(caller)} mayPut={isAdministrator(caller)} again={again} />
        </>
      )}
    </section>
  );
}
