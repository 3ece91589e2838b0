// What would become of machines, as the server says beforehand.

/** The worst first: so they are shown. */
export const VERDICTS = ["refuse", "wait", "unknown", "write", "local"] as const;

export type Verdict = (typeof VERDICTS)[number];

export interface DiskPlan {
  disk: string;
  image: string;
  holds: string;
  blank: boolean;
  verdict: Verdict;
  why: string;
}

export interface MachinePlan {
  id: string;
  verdict: Verdict;
  why: string[];
  /** What of ezio.conf and of orders it follows, with the line. */
  orders?: string;
  disks: DiskPlan[];
}

export interface Plan {
  machines: MachinePlan[];
}

/** What is said of a disk. */
export const ofDisk = ({ disk, image, holds, blank, verdict, why }: DiskPlan): string =>
  `${disk} ${verdict === "write" ? "gets" : "would get"} ${image}${blank ? "" : `. It holds ${holds}`}: ${why}.`;

/** Machines of which the same is said. */
export interface Alike {
  ids: string[];
  lines: string[];
  orders: string;
}

export function alike(machines: MachinePlan[]): Alike[] {
  const found = new Map<string, Alike>();
  for (const { id, why, disks, orders = "" } of machines) {
    const lines = [...why, ...disks.map(ofDisk)];
    const key = JSON.stringify([orders, lines]);
    const known = found.get(key);
    if (known) known.ids.push(id);
    else found.set(key, { ids: [id], lines, orders });
  }
  return [...found.values()];
}

export interface Held {
  id: string;
  disk: string;
  holds: string;
}

/** Disks that hold something, on machines of which this becomes. */
const withData = ({ machines }: Plan, becomes: Verdict): Held[] =>
  machines
    .filter(({ verdict }) => verdict === becomes)
    .flatMap(({ id, disks }) => disks.filter(({ blank }) => !blank).map(({ disk, holds }) => ({ id, disk, holds })));

/** Disks that are written by this plan, and hold something. */
export const lostBy = (plan: Plan) => withData(plan, "write");

/** Disks that hold something, and keep it until somebody approves of that. */
export const keptBy = (plan: Plan) => withData(plan, "wait");
