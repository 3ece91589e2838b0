import { useCallback, useEffect, useState } from "preact/hooks";

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
    try {
      const answer = await fetch(address, { signal: AbortSignal.timeout(20_000) });
      if (!answer.ok) return setError((await answer.text()).trim());
      setValue(await answer.json());
      setError(null);
    } catch (error) {
      setError(`The server did not answer (${error}).`);
    }
  }, [address]);
  useEffect(() => {
    again();
    if (everyS === undefined) return;
    const timer = setInterval(again, everyS * 1000);
    return () => clearInterval(timer);
  }, [again, everyS]);
  return { value, error, again };
}
