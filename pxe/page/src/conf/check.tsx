// Says what is wrong in a text, by line, and else what would become of the machines by it.

import { useRef, useState } from "preact/hooks";
import { send } from "../acts/send";
import type { Plan } from "../deploy/plan";
import { PlanCard } from "../deploy/plan-card";
import type { Room } from "../live/types";
import { Editor } from "./editor";
import { type Mistake, Mistakes } from "./mistakes";
import { PutInPlace } from "./put";
import type { Conf } from "./view";

/** What the server reads of a request. */
const LONGEST = 64 << 10;

interface Checked {
  mistakes: Mistake[];
  /** What can be put in place by hand alone. */
  by_hand?: Mistake[];
  plan?: Plan;
}

interface Props {
  conf: Conf;
  room: Room;
  mayAct: boolean;
  mayPut: boolean;
  /** Asks for what holds once more. */
  again: () => Promise<void>;
}

export function Check({ conf, room, mayAct, mayPut, again }: Props) {
  const [text, setText] = useState(conf.text);
  /** The version that whoever edits has seen. */
  const [seen, setSeen] = useState(conf.version);
  const [refused, setRefused] = useState(false);
  const [checked, setChecked] = useState<Checked | null>(null);
  const [said, setSaid] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const change = (text: string) => {
    setText(text);
    setChecked(null);
    setSaid(null);
    setError(null);
  };
  const look = async () => {
    setBusy(true);
    const { error, answer } = await send("POST", "api/conf/check", { text });
    setBusy(false);
    setSaid(null);
    setError(error);
    setChecked(answer as Checked | null);
  };
  const back = () => {
    change(conf.text);
    setSeen(conf.version);
  };
  const done = async (version: string | null) => {
    if (version !== null) {
      setSeen(version);
      setChecked(null);
      setSaid("It is in its place, and holds.");
    }
    setRefused(version === null);
    await again();
  };
  const { mistakes = [], by_hand = [], plan } = checked ?? {};
  const changed = text !== conf.text;
  const overtaken = refused && conf.version !== seen;
  const byHand = conf.by_hand ?? (by_hand.length > 0 ? "The lines above are for the server itself." : null);
  return (
    <>
      <Editor
        label="Text of ezio.conf"
        text={text}
        onChange={mayAct ? change : null}
        wrong={new Set([...mistakes, ...by_hand].map(({ line }) => line))}
        field={field}
      />
      {mayAct && (
        <div class="buttons">
          <button type="button" class="primary" disabled={busy} onClick={look}>
            Check
          </button>
          <OpenFile onText={change} onRefused={setError} />
          {changed && (
            <button type="button" onClick={back}>
              Back to what holds
            </button>
          )}
        </div>
      )}
      <div role="alert">
        {error && <p class="error">{error}</p>}
        <Mistakes mistakes={mistakes} field={field} />
        <Mistakes mistakes={by_hand} field={field} />
        {overtaken && <Overtaken conf={conf} onSeen={() => setSeen(conf.version)} />}
      </div>
      <div role="status">
        {said && <p>{said}</p>}
        {plan && (
          <>
            <p>
              <b>Nothing is wrong with it.</b>{" "}
              {changed && byHand && `It is put in place on the server, by hand: ${byHand}`}
              {changed && !byHand && !mayPut && "Administrators can put it in place."}
            </p>
            <PlanCard title="What each machine would do by it" plan={plan} room={room}>
              {changed && !byHand && mayPut && !overtaken && (
                <PutInPlace text={text} replaces={seen} plan={plan} onDone={done} />
              )}
            </PlanCard>
          </>
        )}
      </div>
    </>
  );
}

/** What somebody else has put in place meanwhile: it is replaced by nobody who has not seen it. */
function Overtaken({ conf, onSeen }: { conf: Conf; onSeen: () => void }) {
  const field = useRef<HTMLTextAreaElement>(null);
  return (
    <>
      <p class="error">What holds has changed since you began with yours. This is it now:</p>
      <Editor label="What holds now" text={conf.text} onChange={null} wrong={new Set()} field={field} />
      <p class="buttons">
        <button type="button" onClick={onSeen}>
          I have seen it: go on with mine
        </button>
      </p>
    </>
  );
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
