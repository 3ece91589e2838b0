// A room of machines that report to a server as ezio-init does.

/** What is on a disk. */
const HOLDS_DATA = { blank: false, lines: ["Windows", 'NTFS "Daten" 412 GiB used'] };
export const BLANK = { blank: true };
/** What a disk says of its health. */
const GOOD = {
  failing: [],
  power_on_hours: 4321,
  temperature_celsius: 38,
  spare_percent: 100,
  spare_threshold_percent: 10,
};
export const FAILING = {
  ...GOOD,
  failing: ["4 % of spare blocks left, below the threshold of 10 %"],
  spare_percent: 4,
};
const DISK = "/dev/nvme0n1 Samsung SSD 980 465.8 GiB";
const MODEL = { model: "Samsung SSD 980", size: 500_107_862_016 };
const CONSOLE = ["[    9.50] ezio: image: lab", "[   12.75] kernel: nvme0: I/O timeout"];
/** Requests at a time: a room does not report in the same instant either. */
const AT_ONCE = 16;

export class Room {
  constructor(url, count) {
    this.url = url;
    this.machines = Array.from({ length: count }, (_, number) => ({ number, sequence: 0, done: 0 }));
  }

  /** One event of a machine. */
  async report(machine, event) {
    const { number } = machine;
    const mac = macOf(machine);
    const body = {
      format: 7,
      machine: { serial: `PC-${number + 1}`, product: "OptiPlex 7060", macs: [mac] },
      run: `run-${number}${machine.again ?? ""}`,
      sequence: machine.sequence++,
      uptime_s: 9.5,
      steps: { init_s: 1.2, link_s: 3.9, lease_s: 4.1 },
      ...event,
    };
    const answer = await fetch(`${this.url}api/report`, { method: "POST", body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`report of ${body.machine.serial}: ${answer.status}: ${await answer.text()}`);
    const directive = await answer.json();
    if (directive.console) await this.report(machine, { event: "console", console: CONSOLE });
    return directive;
  }

  async each(machines, work) {
    const waiting = [...machines];
    const worker = async () => {
      for (let next = waiting.pop(); next; next = waiting.pop()) await work(next);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }

  /** A machine says which disks it has and how they are, its card, and what it computes with. */
  async inventory(machine, holds = HOLDS_DATA, health = GOOD) {
    const [path] = DISK.split(" ");
    await this.report(machine, {
      event: "inventory",
      disks: [{ path, sector_size: 512, bus: "nvme", ...MODEL, holds, health }],
      cards: [{ mac: macOf(machine), link: true, speed_mbps: 1000 }],
      computer: { processor: "AMD Ryzen 5 PRO 4650G", threads: 12, memory_bytes: 16 * 2 ** 30 },
    });
  }

  /** A machine asks whether it may overwrite what it found; what the server says. */
  async asks(machine) {
    await this.inventory(machine);
    const wanted = [{ name: DISK, overwrite: "ours", ...MODEL, holds: HOLDS_DATA }];
    return await this.report(machine, { event: "asks", image: "lab", wanted });
  }

  async plans(machine, image = "lab") {
    const notes = ["sda3: is encrypted by LUKS: copied whole"];
    await this.report(machine, { event: "planned", image, disks: [DISK], total_bytes: TOTAL, notes });
  }

  /** Machines come, plan, and have received some. */
  async begin(machines) {
    await this.each(machines, async (machine) => {
      await this.report(machine, { event: "started", version: "0.1.0", firmware: "uefi", address: "127.0.0.1" });
      await this.plans(machine);
      await this.progress(machine);
    });
  }

  /** Machines that were deployed once, and are at work again: of those that never were, few are kept from one address. */
  async beginAgain(machines) {
    await this.each(machines, async (machine) => {
      await this.report(machine, { event: "done", end: "reboot" });
      Object.assign(machine, { again: "-again", sequence: 0 });
      await this.progress(machine);
    });
  }

  /** One machine has received a little more. */
  async progress(machine, rate = 110e6) {
    machine.done = Math.min(TOTAL, machine.done + rate);
    await this.report(machine, { event: "progress", ...progress(machine.done, rate) });
  }

  /** The rest of a good run. */
  async finish(machine) {
    for (const event of ["last-byte", "verified", "deployed", "seeding"]) {
      await this.report(machine, { event, ...progress(TOTAL, 0) });
    }
    await this.report(machine, { event: "done", end: "reboot" });
  }

  async fail(machine) {
    const error = "writing at 12.3 GiB of /dev/nvme0n1: Input/output error (os error 5)";
    await this.report(machine, { event: "failed", step: "write", error, next: "waits for a key", console: CONSOLE });
  }
}

const TOTAL = 40 * 2 ** 30;
const macOf = ({ number }) => `52:54:00:00:${hex(number >> 8)}:${hex(number & 255)}`;
const hex = (byte) => byte.toString(16).padStart(2, "0");

const progress = (done, rate) => ({
  done_bytes: done,
  total_bytes: TOTAL,
  down_bytes_per_s: rate,
  up_bytes_per_s: rate,
  from_server_bytes: Math.floor(done / 40),
  from_peers_bytes: done - Math.floor(done / 40),
  sent_bytes: done,
  peers: 12,
});
