// The ezio.conf that holds, and a look at another one before it is put in its place.

import type { Room } from "../live/types";
import { useAsked } from "../widgets/asked";
import { Check } from "./check";

export interface Conf {
  text: string;
  origin: string;
  signed: boolean;
}

export function ConfCard({ room, mayAct }: { room: Room; mayAct: boolean }) {
  const { value, error } = useAsked<Conf>("api/conf");
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
          <Check conf={value} room={room} mayAct={mayAct} />
        </>
      )}
    </section>
  );
}
