// Says what is wrong in a text, by line, and else what would become of the machines by it.

import { useRef, useState } from "preact/hooks";
import { send } from "../acts/send";
import type { Plan } from "../deploy/plan";
import { PlanCard } from "../deploy/plan-card";
import type { Room } from "../live/types";
import { Editor } from "./editor";
import type { Conf } from "./view";

/** What the server reads of a request. */
const LONGEST = 64 << 10;

interface Checked {
  mistakes: { line: number; column: number; message: string }[];
  plan?: Plan;
}

export function Check({ conf, room, mayAct }: { conf: Conf; room: Room; mayAct: boolean }) {
  const [text, setText] = useState(conf.text);
  const [checked, setChecked] = useState<Checked | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const change = (text: string) => {
    setText(text);
    setChecked(null);
    setError(null);
  };
  const look = async () => {
    setBusy(true);
    const { error, answer } = await send("POST", "api/conf/check", { text });
    setBusy(false);
    setError(error);
    setChecked(answer as Checked | null);
  };
  const mistakes = checked?.mistakes ?? [];
  return (
    <>
      <Editor
        label="Text of ezio.conf"
        text={text}
        onChange={mayAct ? change : null}
        wrong={new Set(mistakes.map(({ line }) => line))}
        field={field}
      />
      {mayAct && (
        <div class="buttons">
          <button type="button" class="primary" disabled={busy} onClick={look}>
            Check
          </button>
          <OpenFile onText={change} onRefused={setError} />
          {text !== conf.text && (
            <button type="button" onClick={() => change(conf.text)}>
              Back to what holds
            </button>
          )}
        </div>
      )}
      <div role="alert">
        {error && <p class="error">{error}</p>}
        {mistakes.map(({ line, column, message }) => (
          <p key={`${line} ${message}`}>
            <button type="button" class="more" onClick={() => show(field.current, line)}>
              Line {line}, column {column}
            </button>{" "}
            <span class="error">{message}</span>
          </p>
        ))}
      </div>
      <div role="status">
        {checked?.plan && (
          <>
            <p>
              <b>Nothing is wrong with it.</b> To have it hold, put it in its place on the server and send the server a
              SIGHUP: this page changes no files.
            </p>
            <PlanCard title="What each machine would do by it" plan={checked.plan} room={room} />
          </>
        )}
      </div>
    </>
  );
}

/** Shows a line in a text, by selecting it. */
function show(field: HTMLTextAreaElement | null, line: number) {
  if (!field) return;
  const lines = field.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((length, { length: more }) => length + more + 1, 0);
  field.focus();
  field.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
}

interface OpenProps {
  onText: (text: string) => void;
  onRefused: (why: string) => void;
}

function OpenFile({ onText, onRefused }: OpenProps) {
  const read = async (file: File | undefined) => {
    if (!file) return;
    if (file.size > LONGEST) return onRefused(`${file.name} is longer than the 64 KiB that the server reads`);
    onText(await file.text());
  };
  return (
    <label>
      <span class="hidden">A file of this computer</span>
      <input type="file" onChange={(event) => read(event.currentTarget.files?.[0])} />
    </label>
  );
}
