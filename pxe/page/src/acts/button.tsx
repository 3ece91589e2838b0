// A button for an act, and the dialog that asks first.

import { useRef, useState } from "preact/hooks";
import type { Machine } from "../live/types";
import { count, nameOf } from "../words";
import { ACTS, type Act, carryOut, commands } from "./acts";

interface Props {
  act: Act;
  machines: Machine[];
  mayAct: boolean;
  label: string;
}

export function ActButton({ act, machines, mayAct, label }: Props) {
  const [asked, ask] = useState<Machine[] | null>(null);
  return (
    <>
      <button type="button" disabled={machines.length === 0} onClick={() => ask(machines)}>
        {label}
      </button>
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
  const { title, text, button } = ACTS[act];
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
            <b>{nameOf(machine)}</b> {machine.disks.join(", ") || "its disk, as ezio.conf chooses it"}
          </li>
        ))}
      </ul>
      {!mayAct && <ByCommand text={commands(act, machines)} />}
      <div role="alert">{error && <p class="error">{error}</p>}</div>
      <div class="buttons">
        <button type="button" onClick={() => dialog.current?.close()}>
          Leave it
        </button>
        {mayAct && (
          <button type="button" class="danger" disabled={busy} onClick={go}>
            {button}
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
      <textarea ref={box} class="command" aria-label="Commands" readOnly rows={3} value={text} />
      <button type="button" onClick={copy}>
        Copy
      </button>
    </>
  );
}
