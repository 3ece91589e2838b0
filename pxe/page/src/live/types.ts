// What the server tells of the room (API.md). A member that is null in JSON is one that is not there.

export interface Progress {
  done_bytes: number;
  total_bytes: number;
  down_bytes_per_s: number;
  up_bytes_per_s: number;
  from_server_bytes: number;
  from_peers_bytes: number;
  sent_bytes: number;
  peers: number;
  zero_bytes: number;
  kept_bytes: number;
}

export type Moment =
  | "first-seen"
  | "booting"
  | "kernel"
  | "started"
  | "waiting"
  | "planned"
  | "first-byte"
  | "last-byte"
  | "verified"
  | "deployed"
  | "seeding"
  | "proved"
  | "done"
  | "failed";

/** What a disk says of its own health. */
export interface Health {
  /** Why it is failing, a sentence each; none: it is good. */
  failing: string[];
  power_on_hours?: number;
  temperature_celsius?: number;
  endurance_used_percent?: number;
  spare_percent?: number;
  spare_threshold_percent?: number;
  media_errors?: number;
  reallocated_sectors?: number;
  pending_sectors?: number;
  uncorrectable_sectors?: number;
}

/** A disk as the machine saw it last. */
export interface Disk {
  path: string;
  model?: string;
  serial?: string;
  size: number;
  bus?: string;
  removable?: boolean;
  holds: { blank: boolean; lines?: string[] };
  health?: Health;
}

/** A network card as the machine saw it last. */
export interface Card {
  mac: string;
  link: boolean;
  speed_mbps?: number;
}

export interface Machine {
  id: string;
  machine: { uuid?: string; serial?: string; product?: string; macs: string[] };
  hostname?: string | null;
  address?: string | null;
  firmware?: string | null;
  /** Of ezio.conf. */
  group?: string | null;
  image?: string | null;
  disks: string[];
  notes: string[];
  own_steps: string[];
  state: string;
  silent: boolean;
  boots_local: boolean;
  held: boolean;
  /** What is wanted of it beside ezio.conf. */
  order?: { image?: string; then?: string; source: string } | null;
  /** Why it waits, a line each. */
  waiting_for: string[];
  inventory: Disk[];
  cards?: Card[];
  /** What it computes with: the processor's name, threads, bytes of memory. */
  computer?: { processor?: string; threads: number; memory_bytes: number } | null;
  /** Runs in a row that have failed. */
  failures: number;
  progress: Progress;
  error?: string | null;
  failed_step?: string | null;
  next?: string | null;
  times: Partial<Record<Moment, number>>;
  steps: Partial<Record<string, number>>;
  last_heard: number;
  deployments: number;
  /** When it sent the console that the server keeps of it. */
  console_at?: number | null;
}

export interface Partition {
  name: string;
  filesystem?: string | null;
  label?: string | null;
  size_bytes: number;
  payload_bytes: number;
}

export interface Image {
  name: string;
  /** SHA-256 of its list of checksums. */
  version: string;
  builder: string;
  arch?: string | null;
  signed: boolean;
  /** When the server opened it. */
  checked: number;
  in_conf: boolean;
  needed_bytes?: number | null;
  payload_bytes: number;
  notes: string[];
  created: string;
  partitions: Partition[];
}

/** Rates over time: averages over slots of one length, by the slots' numbers from 0. */
export interface Rates {
  /** When slot 0 begins. */
  since: number;
  step_s: number;
  /** Of the room: bytes a second that machines receive and that the server sends, and how many machines receive. Of a machine: that it
   *  receives, and sends. */
  samples: Record<string, number[]>;
}

/** Column and row, from the left and the top. */
export type Seat = [number, number];

export type Kind = "done" | "working" | "failed" | "silent" | "waiting";

export interface Room {
  now: number;
  version: string;
  images: Image[];
  seeder: Progress;
  counts: Record<Kind, number>;
  machines: Record<string, Machine>;
  seats: Record<string, Seat>;
  /** Of the last deployment. */
  rates: Rates;
}
