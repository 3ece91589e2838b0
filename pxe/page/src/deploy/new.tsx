// A new deployment: set, seen beforehand, and ordered once what is lost was named.

import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import type { Room } from "../live/types";
import { count, dateTime } from "../words";
import { useChosen, useDraft } from "./chosen";
import { Confirm } from "./confirm";
import { Form } from "./form";
import { type Acted, give, keep, supposed } from "./order";
import { Outcome } from "./outcome";
import type { Plan } from "./plan";
import { PlanCard } from "./plan-card";
import { type Draft, NOTHING, type Wish, whenOf, wishOf } from "./wish";

/** What the server said would happen, and of what. */
interface Seen {
  draft: Draft;
  wish: Wish;
  plan: Plan;
}

interface Props {
  room: Room;
  /** A schedule was made. */
  onKept: () => void;
  /** What stands beside the form. */
  children: ComponentChildren;
}

export function NewDeployment({ room, onKept, children }: Props) {
  const [draft, setDraft] = useDraft();
  const [allChosen] = useChosen();
  const [seen, setSeen] = useState<Seen | null>(null);
  const [asks, setAsks] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const [done, setDone] = useState<Acted | number | null>(null);
  const result = useRef<HTMLDivElement>(null);
  const chosen = allChosen.filter((id) => room.machines[id]);
  const change = (draft: Draft) => {
    setDraft(draft);
    setSeen(null);
    setError(null);
    setDone(null);
  };
  const see = async () => {
    const when = whenOf(draft);
    if (typeof when === "string") return setError(when);
    const wish = wishOf(draft, chosen);
    const { value, error } = await supposed(wish);
    setError(error);
    setDone(null);
    setSeen(value && { draft, wish, plan: value });
    result.current?.scrollIntoView({ block: "nearest" });
  };
  const order = async ({ draft, wish }: Seen): Promise<string | null> => {
    const when = whenOf(draft);
    if (typeof when === "string") return when;
    const { value, error } = when ? await keep(wish, when) : await give(wish);
    if (value === null) return error;
    // What was given up for one deployment is not given up for the next.
    setDraft(NOTHING);
    setSeen(null);
    setAsks(false);
    setDone(value);
    if (when) onKept();
    return null;
  };
  return (
    <div class="new">
      <Form room={room} draft={draft} chosen={chosen} onChange={change} onSubmit={see} error={error} />
      <div>
        <div ref={result} role="status">
          {seen && (
            <PlanCard title="What would happen" plan={seen.plan} room={room}>
              {seen.plan.machines.length > 0 && (
                <button type="button" class="primary" onClick={() => setAsks(true)}>
                  Deploy {count(seen.plan.machines.length, "machine")}…
                </button>
              )}
            </PlanCard>
          )}
          {typeof done === "number" && (
            <section class="card" aria-label="Scheduled">
              <h2>Scheduled</h2>
              <p>It begins {dateTime(done)}.</p>
            </section>
          )}
          {done !== null && typeof done !== "number" && <Outcome acted={done} room={room} />}
        </div>
        {children}
      </div>
      {asks && seen && (
        <Confirm
          draft={seen.draft}
          wish={seen.wish}
          plan={seen.plan}
          room={room}
          onGo={() => order(seen)}
          onClose={() => setAsks(false)}
        />
      )}
    </div>
  );
}
