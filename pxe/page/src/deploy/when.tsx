// Now, once, or weekly.

import { DAYS, type Draft } from "./wish";

const WHEN: [Draft["when"], string][] = [
  ["now", "Now"],
  ["once", "Once"],
  ["weekly", "Weekly"],
];

export function When({ draft, onChange }: { draft: Draft; onChange: (changed: Partial<Draft>) => void }) {
  return (
    <>
      <fieldset class="choice">
        <legend>When</legend>
        {WHEN.map(([when, title]) => (
          <button key={when} type="button" aria-pressed={draft.when === when} onClick={() => onChange({ when })}>
            {title}
          </button>
        ))}
      </fieldset>
      {draft.when === "once" && (
        <label class="field">
          <span>At, by the clock of this computer</span>
          <input
            type="datetime-local"
            value={draft.at}
            onInput={(event) => onChange({ at: event.currentTarget.value })}
          />
        </label>
      )}
      {draft.when === "weekly" && (
        <>
          <Days days={draft.days} onChange={(days) => onChange({ days })} />
          <label class="field">
            <span>At, by the clock of the server</span>
            <input type="time" value={draft.time} onInput={(event) => onChange({ time: event.currentTarget.value })} />
          </label>
        </>
      )}
    </>
  );
}

function Days({ days, onChange }: { days: string[]; onChange: (days: string[]) => void }) {
  const toggle = (day: string) => onChange(DAYS.filter((other) => days.includes(other) !== (other === day)));
  return (
    <fieldset class="choice">
      <legend>On</legend>
      {DAYS.map((day) => (
        <button key={day} type="button" aria-pressed={days.includes(day)} onClick={() => toggle(day)}>
          {day.charAt(0) + day.slice(1).toLowerCase()}
        </button>
      ))}
    </fieldset>
  );
}
