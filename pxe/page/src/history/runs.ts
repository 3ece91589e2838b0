// Runs that have ended, as the server tells them, and which of them belong together.

export interface Run {
  /** Counts all that there were on this server. */
  number: number;
  /** Id of the machine at that time. */
  machine: string;
  image?: string | null;
  disks: string[];
  started: number;
  ended: number;
  outcome: "done" | "failed" | "lost";
  done_bytes: number;
  from_server_bytes: number;
  from_peers_bytes: number;
  proved: boolean;
  failed_step?: string | null;
  error?: string | null;
}

/** Runs that begin within so many seconds of the end of others belong to the same deployment. */
const GAP_S = 120;

/** Runs of one evening: each overlaps with others, or comes soon after. */
export interface Together {
  started: number;
  ended: number;
  /** The newest first. */
  runs: Run[];
}

/** The newest first, as they come. */
export function together(runs: Run[]): Together[] {
  const found: Together[] = [];
  for (const run of [...runs].sort((a, b) => b.ended - a.ended)) {
    const last = found[found.length - 1];
    if (last && run.ended + GAP_S >= last.started) {
      last.runs.push(run);
      last.started = Math.min(last.started, run.started);
    } else {
      found.push({ started: run.started, ended: run.ended, runs: [run] });
    }
  }
  return found;
}

/** What was known, and a newer page; where they have nothing in common, what lies between is not known, and the old ones go. */
export function renewed(known: Run[], page: Run[]): Run[] {
  const oldest = page[page.length - 1]?.number ?? 0;
  const joins = known.some(({ number }) => number >= oldest);
  return joins ? [...page, ...known.filter(({ number }) => number < oldest)] : page;
}

/** What was known, and the page after it. */
export function longer(known: Run[], page: Run[]): Run[] {
  const oldest = known[known.length - 1]?.number ?? Number.POSITIVE_INFINITY;
  return [...known, ...page.filter(({ number }) => number < oldest)];
}
