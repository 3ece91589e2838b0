// Which view is open: `#/`, `#/deploy`, `#/history`, `#/history/ID`, `#/images`, `#/machine/ID`, `#/access`, `#/account`.

import { useEffect, useState } from "preact/hooks";

const parts = () => location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);

export const machineAddress = (id: string) => `#/machine/${encodeURIComponent(id)}`;

export const historyAddress = (id: string) => `#/history/${encodeURIComponent(id)}`;

export function useRoute(): string[] {
  const [route, open] = useState(parts);
  useEffect(() => {
    const changed = () => open(parts());
    addEventListener("hashchange", changed);
    // It may have changed after it was first read.
    changed();
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}
