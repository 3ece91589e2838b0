import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { AccessView } from "./account/access";
import { type Caller, isAdministrator, mayAct } from "./account/caller";
import { FirstAccount, Login } from "./account/login";
import { AccountView } from "./account/view";
import { Who } from "./account/who";
import { DeployView } from "./deploy/view";
import { HistoryView } from "./history/view";
import { ImagesView } from "./images/view";
import { useLive } from "./live/connection";
import type { Room } from "./live/types";
import { MachineView } from "./machine/view";
import { RoomView } from "./room/view";
import { useRoute } from "./route";

const TITLES: Record<string, string> = {
  "": "Room",
  deploy: "Deploy",
  history: "History",
  images: "Images",
  machine: "Machine",
  access: "Access",
  account: "Account",
};

export function App() {
  const { room, caller, lost } = useLive();
  const [view = "", id = ""] = useRoute();
  const main = useRef<HTMLElement>(null);
  const opened = useRef(false);
  useEffect(() => {
    document.title = `${TITLES[view] ?? "Room"} – ezio`;
    // Whoever follows a link by keyboard goes on in what it opened.
    if (opened.current) main.current?.focus({ preventScroll: true });
    if (view !== "") scrollTo(0, 0);
    opened.current = true;
  }, [view]);
  return (
    <>
      <button class="skip" type="button" onClick={() => main.current?.focus()}>
        To the content
      </button>
      <header class="top">
        <strong class="brand">ezio</strong>
        {caller && (
          <nav aria-label="Views">
            <Tab to="#/" here={view === "" || view === "machine"}>
              Room
            </Tab>
            <Tab to="#/deploy" here={view === "deploy"}>
              Deploy
            </Tab>
            <Tab to="#/images" here={view === "images"}>
              Images
            </Tab>
            <Tab to="#/history" here={view === "history"}>
              History
            </Tab>
            {isAdministrator(caller) && (
              <Tab to="#/access" here={view === "access"}>
                Access
              </Tab>
            )}
          </nav>
        )}
        <span class="dim version">{room ? `server ${room.version}` : ""}</span>
        {caller && <Who caller={caller} />}
      </header>
      <div role="alert">{lost && <p class="lost">The server does not answer. What is shown may be old.</p>}</div>
      <main id="main" tabIndex={-1} ref={main}>
        {caller === null && (view === "first" ? <FirstAccount link={id} /> : <Login />)}
        {caller && room && <View view={view} id={id} room={room} caller={caller} />}
        {caller !== null && !room && !lost && <p class="dim">Asking the server…</p>}
      </main>
    </>
  );
}

function Tab({ to, here, children }: { to: string; here: boolean; children: ComponentChildren }) {
  return (
    <a href={to} aria-current={here ? "page" : undefined}>
      {children}
    </a>
  );
}

function View({ view, id, room, caller }: { view: string; id: string; room: Room; caller: Caller }) {
  if (view === "deploy") return <DeployView room={room} mayAct={mayAct(caller)} />;
  if (view === "history") return <HistoryView key={id} room={room} machine={id} />;
  if (view === "images") return <ImagesView room={room} caller={caller} />;
  if (view === "access") return <AccessView caller={caller} />;
  if (view === "account") return <AccountView caller={caller} />;
  if (view === "machine") return <MachineView room={room} id={id} mayAct={mayAct(caller)} />;
  return <RoomView room={room} mayAct={mayAct(caller)} />;
}
