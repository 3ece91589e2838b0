// One machine: what it is, what it does, and what can be done with it.

import { ActButtons } from "../acts/button";
import { DeployButton } from "../deploy/chosen";
import { serverNow } from "../live/connection";
import type { Machine, Room } from "../live/types";
import { MachineRates } from "../rates/machine";
import { problemOf } from "../room/problems";
import { statusOf } from "../room/status";
import { Bar } from "../widgets/bar";
import { Fact } from "../widgets/fact";
import { cardOf, count, kindOf, nameOf, rate, size, span } from "../words";
import { Console } from "./console";
import { healthOf } from "./health";
import { PastRuns } from "./past";
import { Timeline } from "./timeline";

export function MachineView({ room, id, mayAct }: { room: Room; id: string; mayAct: boolean }) {
  const machine = room.machines[id];
  if (!machine) {
    return (
      <>
        <h1>No such machine</h1>
        <p>
          The server knows no machine “{id}”. <a href="#/">To the room</a>
        </p>
      </>
    );
  }
  const now = serverNow();
  const problem = problemOf(machine, now);
  return (
    <>
      <p>
        <a href="#/">Room</a>
      </p>
      <h1>{nameOf(machine)}</h1>
      <p class={`what ${problem?.colour ?? kindOf(machine)}`}>{statusOf(machine, now)}</p>
      {problem && (
        <section class={`card trouble ${problem.colour}`} aria-label="What is wrong">
          <h2>{problem.what}</h2>
          {problem.why.map((why) => (
            <p key={why} class="why">
              {why}
            </p>
          ))}
          <p>{problem.toDo}</p>
        </section>
      )}
      <div class="buttons">
        <DeployButton machines={[machine]} mayAct={mayAct} />
        <ActButtons machines={[machine]} mayAct={mayAct} />
      </div>
      <div class="columns">
        <Transfer machine={machine} />
        <section class="card" aria-label="This run">
          <h2>This run</h2>
          <Timeline machine={machine} now={now} />
        </section>
        <Inventory machine={machine} now={now} />
        <Lines title="What was done for this machine alone" lines={machine.own_steps} />
        <Lines title="Notes on its image" lines={machine.notes} />
      </div>
      <MachineRates machine={machine} />
      <Console machine={machine} mayAct={mayAct} />
      <PastRuns key={machine.times.done ?? machine.times.failed} machine={machine} room={room} />
    </>
  );
}

function Transfer({ machine }: { machine: Machine }) {
  const p = machine.progress;
  if (p.total_bytes === 0) return null;
  return (
    <section class="card" aria-label="Data">
      <h2>Data</h2>
      <Bar share={p.done_bytes / p.total_bytes} label="Verified" />
      <dl>
        <Fact name="Verified">
          {size(p.done_bytes)} of {size(p.total_bytes)}
        </Fact>
        <Fact name="Receives">{rate(p.down_bytes_per_s)}</Fact>
        <Fact name="Sends">{rate(p.up_bytes_per_s)}</Fact>
        <Fact name="From the server">{size(p.from_server_bytes)}</Fact>
        <Fact name="From other machines">{size(p.from_peers_bytes)}</Fact>
        <Fact name="Given to others">{size(p.sent_bytes)}</Fact>
        <Fact name="Connected to">{count(p.peers, "peer")}</Fact>
        {p.zero_bytes > 0 && <Fact name="Zeros, sent by nobody">{size(p.zero_bytes)}</Fact>}
        {p.kept_bytes > 0 && <Fact name="Was on the disk already">{size(p.kept_bytes)}</Fact>}
      </dl>
    </section>
  );
}

function processorOf({ processor, threads }: NonNullable<Machine["computer"]>): string {
  return [processor, count(threads, "thread")].filter(Boolean).join(", ");
}

function Inventory({ machine, now }: { machine: Machine; now: number }) {
  const { product, serial, uuid, macs } = machine.machine;
  return (
    <section class="card" aria-label="What it is">
      <h2>What it is</h2>
      <dl>
        <Fact name="Host name">{machine.hostname}</Fact>
        <Fact name="Group">{machine.group}</Fact>
        <Fact name="Model">{product}</Fact>
        <Fact name="Serial number">{serial}</Fact>
        <Fact name="UUID">{uuid}</Fact>
        <Fact name="Processor">{machine.computer && processorOf(machine.computer)}</Fact>
        <Fact name="Memory">{machine.computer && size(machine.computer.memory_bytes)}</Fact>
        <Fact name="Network cards">
          {machine.cards?.length ? machine.cards.map(cardOf).join(", ") : macs.join(", ")}
        </Fact>
        <Fact name="Address">{machine.address}</Fact>
        <Fact name="Firmware">{machine.firmware}</Fact>
        <Fact name="Image">{machine.image}</Fact>
        <Fact name="Written">{machine.disks.join("; ")}</Fact>
        {machine.inventory.map((disk) => (
          <Fact key={disk.path} name={disk.path}>
            {[disk.model, disk.serial, size(disk.size), disk.bus].filter(Boolean).join(", ")}:{" "}
            {disk.holds.blank ? "blank" : disk.holds.lines?.join(", ")}
            <p class={disk.health?.failing.length ? "error" : "dim"}>{healthOf(disk)}</p>
          </Fact>
        ))}
        {machine.order && (
          <Fact name="Ordered">
            {[machine.order.image && `image ${machine.order.image}`, machine.order.then && `then ${machine.order.then}`]
              .filter(Boolean)
              .join(", ") || "as ezio.conf says"}{" "}
            ({machine.order.source})
          </Fact>
        )}
        {machine.held && <Fact name="Held">nothing of it is overwritten until it is approved</Fact>}
        {machine.failures > 0 ? <Fact name="Failed in a row">{count(machine.failures, "run")}</Fact> : null}
        <Fact name="Boots from">{machine.boots_local ? "its own disk" : "the network, to be deployed"}</Fact>
        <Fact name="Deployed">{count(machine.deployments, "time")}</Fact>
        <Fact name="Heard">{span(now - machine.last_heard)} ago</Fact>
      </dl>
    </section>
  );
}

function Lines({ title, lines }: { title: string; lines: string[] }) {
  if (lines.length === 0) return null;
  return (
    <section class="card" aria-label={title}>
      <h2>{title}</h2>
      <ul>
        {lines.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    </section>
  );
}
