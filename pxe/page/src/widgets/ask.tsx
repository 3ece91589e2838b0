// The dialog that asks before something is done.

import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";

interface Props {
  title: string;
  /** On the button that does it. */
  act: string;
  /** It cannot be undone. */
  danger: boolean;
  /** Does it; answers why it was not done. */
  onGo: () => Promise<string | null>;
  onClose: () => void;
  children: ComponentChildren;
}

export function Ask({ title, act, danger, onGo, onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement | null>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const open = (element: HTMLDialogElement | null) => {
    dialog.current = element;
    if (element && !element.open) element.showModal();
  };
  const go = async () => {
    setBusy(true);
    const failed = await onGo();
    setBusy(false);
    setError(failed);
    if (failed === null) dialog.current?.close();
  };
  return (
    <dialog ref={open} aria-labelledby="ask" onClose={onClose}>
      <h2 id="ask">{title}</h2>
      {children}
      <div role="alert">{error && <p class="error">{error}</p>}</div>
      <div class="buttons">
        <button type="button" onClick={() => dialog.current?.close()}>
          Leave it
        </button>
        <button type="button" class={danger ? "danger" : ""} disabled={busy} onClick={go}>
          {act}
        </button>
      </div>
    </dialog>
  );
}
