// The room as the server tells it: the whole once, and then what changes. A lost connection is taken up again.

import { useEffect, useState } from "preact/hooks";
import { type Caller, whoAmI } from "../account/caller";
import { merge } from "./patch";
import type { Room } from "./types";

/** The server says something every five seconds; after three times that the connection is taken for lost. */
const SILENCE_MS = 15_000;
const RETRY_MS = 2_000;

export interface Live {
  room: Room | null;
  /** Who looks; null: nobody who is logged in; undefined: the server was not asked yet. */
  caller: Caller | null | undefined;
  /** The server does not answer. */
  lost: boolean;
}

let live: Live = { room: null, caller: undefined, lost: false };
/** What to add to this computer's clock for the server's, in seconds. */
let clock = 0;
let source: EventSource | undefined;
let timer: number | undefined;
const watchers = new Set<() => void>();

function become(next: Live) {
  live = next;
  for (const watcher of watchers) watcher();
}

/** The server's time, in seconds since 1970. */
export const serverNow = () => Date.now() / 1000 + clock;

function close() {
  source?.close();
  clearTimeout(timer);
}

/** Nobody is logged in any more. */
export function disconnect() {
  close();
  become({ room: null, caller: null, lost: false });
}

function again() {
  close();
  become({ ...live, lost: true });
  timer = setTimeout(connect, RETRY_MS);
}

/** Asks the server who looks, and listens to it if that is somebody. */
export async function connect() {
  close();
  try {
    const caller = await whoAmI();
    if (caller === null) return disconnect();
    become({ ...live, caller });
    listen();
  } catch {
    again();
  }
}

function listen() {
  const events = new EventSource("api/events");
  source = events;
  const heard = (room: Room) => {
    clearTimeout(timer);
    timer = setTimeout(again, SILENCE_MS);
    clock = room.now - Date.now() / 1000;
    become({ ...live, room, lost: false });
  };
  events.addEventListener("room", (event) => heard(JSON.parse(event.data)));
  events.addEventListener("change", (event) => {
    if (live.room) heard(merge(live.room, JSON.parse(event.data)));
  });
  // The browser connects again by itself, and says what it saw last, unless the server refused.
  events.onerror = () => {
    if (events.readyState === EventSource.CLOSED) again();
    else become({ ...live, lost: true });
  };
  timer = setTimeout(again, SILENCE_MS);
}

/** The room; whoever uses it is drawn anew when it changes. */
export function useLive(): Live {
  const [seen, see] = useState(live);
  useEffect(() => {
    const watcher = () => see(live);
    watchers.add(watcher);
    watcher();
    return () => {
      watchers.delete(watcher);
    };
  }, []);
  return seen;
}
