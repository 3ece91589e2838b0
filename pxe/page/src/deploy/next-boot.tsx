// What would happen at the next network boot, without any further order.

import { useState } from "preact/hooks";
import type { Room } from "../live/types";
import { useAsked } from "../widgets/asked";
import type { Plan } from "./plan";
import { PlanCard } from "./plan-card";

export function NextBoot({ room }: { room: Room }) {
  const [shown, show] = useState(false);
  if (shown) return <Shown room={room} />;
  return (
    <button type="button" onClick={() => show(true)}>
      Show what each machine does at its next network boot
    </button>
  );
}

function Shown({ room }: { room: Room }) {
  const { value, error, again } = useAsked<Plan>("api/plan");
  return (
    <>
      <div role="alert">{error && <p class="error">{error}</p>}</div>
      {value && (
        <PlanCard title="At the next network boot" plan={value} room={room}>
          <button type="button" onClick={again}>
            Look again
          </button>
        </PlanCard>
      )}
    </>
  );
}
