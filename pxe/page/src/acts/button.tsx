// A button for an act, and the dialog that asks first.

import { useRef, useState } from "preact/hooks";
import type { Machine } from "../live/types";
import { count, nameOf } from "../words";
import { ACTS, type Act, ALL_ACTS, atStake, carryOut, command } from "./acts";

interface ButtonsProps {
  machines: Machine[];
  mayAct: boolean;
  acts?: Act[];
}

/** A button for each act that fits at least one of the machines, and is for those that it fits. */
export function ActButtons({ machines, mayAct, acts = ALL_ACTS }: ButtonsProps) {
  return (
    <p class="buttons">
      {acts.map((act) => (
        <ActButton key={act} act={act} machines={machines.filter(ACTS[act].fits)} mayAct={mayAct} />
      ))}
    </p>
  );
}

interface Props {
  act: Act;
  machines: Machine[];
  mayAct: boolean;
}

function ActButton({ act, machines, mayAct }: Props) {
  const [asked, ask] = useState<Machine[] | null>(null);
  return (
    <>
      {machines.length > 0 && (
        <button type="button" onClick={() => ask(machines)}>
          {machines.length > 1 ? `${ACTS[act].title} ${machines.length}…` : `${ACTS[act].title}…`}
        </button>
      )}
      {asked && <Confirm act={act} machines={asked} mayAct={mayAct} onClose={() => ask(null)} />}
    </>
  );
}

interface ConfirmProps {
  act: Act;
  machines: Machine[];
  mayAct: boolean;
  onClose: () => void;
}

function Confirm({ act, machines, mayAct, onClose }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement | null>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const { title, text, erases } = ACTS[act];
  const open = (element: HTMLDialogElement | null) => {
    dialog.current = element;
    if (element && !element.open) element.showModal();
  };
  const go = async () => {
    setBusy(true);
    const failed = await carryOut(act, machines);
    setBusy(false);
    setError(failed);
    if (failed === null) dialog.current?.close();
  };
  return (
    <dialog ref={open} aria-labelledby="confirm" onClose={onClose}>
      <h2 id="confirm">
        {title}: {count(machines.length, "machine")}
      </h2>
      <p>{text}</p>
      <ul class="targets">
        {machines.map((machine) => (
          <li key={machine.id}>
            <b>{nameOf(machine)}</b> {erases && atStake(machine)}
          </li>
        ))}
      </ul>
      {!mayAct && <ByCommand text={command(act, machines)} />}
      <div role="alert">{error && <p class="error">{error}</p>}</div>
      <div class="buttons">
        <button type="button" onClick={() => dialog.current?.close()}>
          Leave it
        </button>
        {mayAct && (
          <button type="button" class={erases ? "danger" : ""} disabled={busy} onClick={go}>
            {title}
          </button>
        )}
      </div>
    </dialog>
  );
}

/** What this page may not do, a person on the server does by a command. */
function ByCommand({ text }: { text: string }) {
  const box = useRef<HTMLTextAreaElement>(null);
  // The browser's clipboard is for pages that came by HTTPS; what is selected can be copied from any.
  const copy = () => {
    box.current?.select();
    document.execCommand("copy");
  };
  return (
    <>
      <p>The server takes this from its own machine only. Say there:</p>
      <textarea ref={box} class="command" aria-label="Command" readOnly rows={3} value={text} />
      <button type="button" onClick={copy}>
        Copy
      </button>
    </>
  );
}
