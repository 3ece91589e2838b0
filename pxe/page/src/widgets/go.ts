import { useState } from "preact/hooks";

/** What stands in the fields of a form, by their names. */
export type Typed = Record<string, string>;

/** What a form does when it is sent; answers why it was not done. */
export type OnGo = (typed: Typed) => Promise<string | null>;

/** Does what a form is for; `done` is called where that was done. */
export function useGo(onGo: OnGo, done?: () => void) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const typed = Object.fromEntries(new FormData(event.currentTarget as HTMLFormElement)) as Typed;
    setBusy(true);
    const failed = await onGo(typed);
    setBusy(false);
    setError(failed);
    if (failed === null) done?.();
  };
  return { busy, error, submit };
}
