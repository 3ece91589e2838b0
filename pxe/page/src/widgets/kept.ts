import { useState } from "preact/hooks";

/** What somebody chose, kept while the tab is open: over other views, and when the page is loaded anew. */
export function useKept<T>(name: string, initial: T): [T, (value: T) => void] {
  const [value, set] = useState<T>(() => JSON.parse(sessionStorage.getItem(name) ?? JSON.stringify(initial)));
  return [
    value,
    (value) => {
      sessionStorage.setItem(name, JSON.stringify(value));
      set(() => value);
    },
  ];
}
