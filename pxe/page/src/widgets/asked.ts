import { useCallback, useEffect, useState } from "preact/hooks";
import { ask } from "../acts/send";

export interface Asked<T> {
  /** What the server answered last. */
  value: T | null;
  error: string | null;
  again: () => Promise<void>;
}

/** What the server answers to a GET: asked when it is shown, every `everyS` seconds if that is given, and by `again`. */
export function useAsked<T>(address: string, everyS?: number): Asked<T> {
  const [value, setValue] = useState<T | null>(null);
  const [error, setError] = useState<string | null>(null);
  const again = useCallback(async () => {
    const { value, error } = await ask<T>(address);
    if (value !== null) setValue(value);
    setError(error);
  }, [address]);
  useEffect(() => {
    again();
    if (everyS === undefined) return;
    const timer = setInterval(again, everyS * 1000);
    return () => clearInterval(timer);
  }, [again, everyS]);
  return { value, error, again };
}
