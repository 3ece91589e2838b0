// Machines picked one by one in the room: acts are then for these, and no longer for all that are shown.

import { useState } from "preact/hooks";

export interface Selection {
  has: (id: string) => boolean;
  toggle: (id: string) => void;
}

export interface Selecting {
  /** None while nobody picks. */
  selection: Selection | null;
  begin: (ids: string[]) => void;
  end: () => void;
}

export function useSelection(): Selecting {
  const [ids, setIds] = useState<Set<string> | null>(null);
  const toggle = (id: string) =>
    setIds((old) => {
      const ids = new Set(old);
      if (!ids.delete(id)) ids.add(id);
      return ids;
    });
  return {
    selection: ids && { has: (id) => ids.has(id), toggle },
    begin: (ids) => setIds(new Set(ids)),
    end: () => setIds(null),
  };
}
