// Machines that are chosen in the room, for a deployment.

import type { Machine } from "../live/types";
import { useKept } from "../widgets/kept";
import { NOTHING } from "./wish";

/** Their ids, kept while the tab is open. */
export const useChosen = () => useKept<string[]>("chosen", []);

/** What stands in the form, kept as long. */
export const useDraft = () => useKept("deployment", NOTHING);

/** Leads to the form, for these machines. */
export function DeployButton({ machines, mayAct }: { machines: Machine[]; mayAct: boolean }) {
  const [, choose] = useChosen();
  const [draft, setDraft] = useDraft();
  if (!mayAct || machines.length === 0) return null;
  const take = () => {
    choose(machines.map(({ id }) => id));
    setDraft({ ...draft, who: "chosen" });
    location.hash = "#/deploy";
  };
  return (
    <button type="button" onClick={take}>
      {machines.length > 1 ? `Deploy ${machines.length}…` : "Deploy…"}
    </button>
  );
}
