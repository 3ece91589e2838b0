// The dialog that asks before something is done, for what it needs to know as well.

import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { type OnGo, useGo } from "./go";

interface Props {
  title: string;
  /** On the button that does it. */
  act: string;
  /** It cannot be undone. */
  danger: boolean;
  /** Does it; answers why it was not done. */
  onGo: OnGo;
  onClose: () => void;
  children: ComponentChildren;
}

export function Ask({ title, act, danger, onGo, onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement | null>(null);
  const { busy, error, submit } = useGo(onGo, () => dialog.current?.close());
  const open = (element: HTMLDialogElement | null) => {
    dialog.current = element;
    if (element && !element.open) element.showModal();
  };
  return (
    <dialog ref={open} aria-labelledby="ask" onClose={onClose}>
      <form onSubmit={submit}>
        <h2 id="ask">{title}</h2>
        {children}
        <div role="alert">{error && <p class="error">{error}</p>}</div>
        <div class="buttons">
          <button type="button" onClick={() => dialog.current?.close()}>
            Leave it
          </button>
          <button type="submit" class={danger ? "danger" : ""} disabled={busy}>
            {act}
          </button>
        </div>
      </form>
    </dialog>
  );
}
