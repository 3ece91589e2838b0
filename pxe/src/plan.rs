//! What would be done to each known machine, before anything starts: by its orders, and by its disks as it saw them last. The
//! machine decides by the same code.

use std::fmt::Write as _;

use ezio_contract::MachineId;
use ezio_contract::inventory::{InventoryDisk, Wanted};
use ezio_disk::{Disk, choose, share_out};
use ezio_image::conf::{ImageRef, Orders, Target, Write};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalogue::{Catalogue, Image};
use crate::conf::ServedConf;
use crate::fleet::{Machine, Rules};

/// What `GET /api/plan` answers.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct PlanView {
    pub(crate) machines: Vec<MachinePlan>,
}

impl PlanView {
    /// Disks that would be written, or ask to be, and hold something.
    pub(crate) fn disks_with_data(&self) -> usize {
        self.machines.iter().flat_map(|plan| &plan.disks).filter(|disk| !disk.blank).count()
    }
}

/// What would become of a machine at its next network boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// It is written.
    Write,
    /// It waits for an operator's word.
    Wait,
    /// Its run fails before anything is written.
    Refuse,
    /// It starts from its own disk.
    Local,
    /// Only the machine itself can tell.
    Unknown,
}

/// One machine.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct MachinePlan {
    pub(crate) id: String,
    pub(crate) machine: MachineId,
    pub(crate) verdict: Verdict,
    /// Why, in words.
    pub(crate) why: Vec<String>,
    /// What of ezio.conf it follows, with its line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) orders: Option<String>,
    pub(crate) disks: Vec<DiskPlan>,
}

/// One disk that would be written.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct DiskPlan {
    pub(crate) disk: String,
    pub(crate) image: String,
    /// What it holds.
    pub(crate) holds: String,
    pub(crate) blank: bool,
    pub(crate) overwrite: String,
    pub(crate) verdict: Verdict,
    pub(crate) why: String,
}

/// The plan of a room.
pub(crate) fn of(
    machines: &[Machine],
    rules: &Rules,
    conf: Option<&ServedConf>,
    catalogue: &Catalogue,
) -> PlanView {
    let plan = |machine: &Machine| {
        let mut plan = MachinePlan {
            id: machine.id.clone(),
            machine: machine.identity.clone(),
            verdict: Verdict::Write,
            why: Vec::new(),
            orders: None,
            disks: Vec::new(),
        };
        match conf {
            Some(conf) => fill(&mut plan, machine, conf, catalogue),
            None => refuse(&mut plan, "there is no ezio.conf".to_owned()),
        }
        stay(&mut plan, machine, rules);
        plan
    };
    PlanView { machines: machines.iter().map(plan).collect() }
}

fn refuse(plan: &mut MachinePlan, why: String) {
    plan.verdict = Verdict::Refuse;
    plan.why.push(why);
}

/// What keeps it from being deployed, whatever its disks hold.
fn stay(plan: &mut MachinePlan, machine: &Machine, rules: &Rules) {
    if machine.life.boots_local {
        plan.verdict = Verdict::Local;
        plan.why.insert(0, "it was deployed: `ezio-pxe again` has it deployed once more".to_owned());
        return;
    }
    let objections = machine.objections(rules);
    if !objections.is_empty() && plan.verdict != Verdict::Refuse {
        plan.verdict = if machine.stays_away(rules) { Verdict::Local } else { Verdict::Wait };
    }
    plan.why.splice(0..0, objections);
}

fn fill(plan: &mut MachinePlan, machine: &Machine, conf: &ServedConf, catalogue: &Catalogue) {
    let (orders, place) = match conf.orders_of(machine) {
        Ok(orders) => orders,
        Err(why) => return refuse(plan, why),
    };
    plan.orders = Some(place);
    if machine.known_disks.inventory.is_empty() {
        plan.verdict = Verdict::Unknown;
        plan.why.push("its disks have not been seen yet".to_owned());
        return;
    }
    choose_disks(plan, machine, &orders, catalogue);
    let has = |verdict| plan.disks.iter().any(|disk| disk.verdict == verdict);
    let worst = [Verdict::Wait, Verdict::Unknown].into_iter().find(|verdict| has(*verdict));
    if plan.verdict == Verdict::Write {
        plan.verdict = worst.unwrap_or(Verdict::Write);
    }
}

fn choose_disks(plan: &mut MachinePlan, machine: &Machine, orders: &Orders, catalogue: &Catalogue) {
    let inventory = &machine.known_disks.inventory;
    let mut free: Vec<Disk> = inventory.iter().map(Disk::from).collect();
    for write in &orders.writes {
        let chosen = match chosen_for(write, orders, &free, catalogue) {
            Ok(chosen) => chosen,
            Err((verdict, why)) => {
                plan.verdict = verdict;
                plan.why.push(why);
                if verdict == Verdict::Refuse {
                    return;
                }
                continue;
            }
        };
        for (disk, image) in chosen {
            let listed = inventory.iter().find(|listed| disk.path.to_str() == Some(&listed.path));
            let complaint = listed.and_then(InventoryDisk::complaint);
            plan.why.extend(complaint.map(|why| format!("{disk} is failing: {why}")));
            plan.disks.extend(listed.map(|listed| disk_plan(machine, &disk, listed, write, &image)));
            if let Some(taken) = free.iter_mut().find(|other| other.path == disk.path) {
                taken.take_for(&image);
            }
        }
    }
}

/// The disks that are written, each with its image; or what becomes of the machine instead, and why.
fn chosen_for(
    write: &Write,
    orders: &Orders,
    free: &[Disk],
    catalogue: &Catalogue,
) -> Result<Vec<(Disk, String)>, (Verdict, String)> {
    let name = write.image.to_string();
    let refuse = |error: &dyn std::fmt::Display| (Verdict::Refuse, format!("image {name}: {error}"));
    if let Some(set) = catalogue.sets.iter().find(|set| set.name == name) {
        set.list.check_orders(write, orders).map_err(|error| refuse(&error))?;
        let wanted = catalogue.origins(set);
        let disks = share_out(free, &write.disk, &wanted).map_err(|error| refuse(&error))?;
        return Ok(disks.into_iter().zip(wanted.into_iter().map(|origin| origin.image)).collect());
    }
    let (needed, all) = needed(write, catalogue).map_err(|why| (Verdict::Unknown, why))?;
    let disks = choose(free, &write.disk, needed, all).map_err(|error| refuse(&error))?;
    Ok(disks.into_iter().map(|disk| (disk, name.clone())).collect())
}

/// Bytes that a disk must have, and whether all that fit are written.
fn needed(write: &Write, catalogue: &Catalogue) -> Result<(u64, bool), String> {
    let Target::WholeDisk { all } = write.target else {
        return Err(format!("image {}: the machine looks for the partition", write.image));
    };
    let is_named = |image: &&Image| matches!(&write.image, ImageRef::Name(name) if *name == image.name);
    let image = catalogue.images.iter().find(is_named);
    let elsewhere = || format!("{} is not of this server: how much room it needs is not known", write.image);
    Ok((image.ok_or_else(elsewhere)?.needed.unwrap_or(0), all))
}

fn disk_plan(machine: &Machine, disk: &Disk, listed: &InventoryDisk, write: &Write, image: &str) -> DiskPlan {
    let wanted = Wanted {
        name: disk.to_string(),
        id: listed.id.clone(),
        overwrite: write.overwrite,
        holds: listed.holds.clone(),
        becomes: None,
    };
    let leave = machine.known_disks.leave(&wanted);
    DiskPlan {
        image: image.to_owned(),
        holds: wanted.holds.to_string(),
        blank: wanted.holds.blank,
        overwrite: write.overwrite.to_string(),
        verdict: if leave.is_some() { Verdict::Write } else { Verdict::Wait },
        why: match leave {
            Some(leave) => leave.to_string(),
            None => format!("overwrite = \"{}\" keeps what is there", write.overwrite),
        },
        disk: wanted.name,
    }
}

/// For people.
pub(crate) fn print(view: &PlanView) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    for plan in &view.machines {
        let verdict = match plan.verdict {
            Verdict::Write => "is written",
            Verdict::Wait => "WAITS",
            Verdict::Refuse => "REFUSES",
            Verdict::Local => "starts from its own disk",
            Verdict::Unknown => "is not known yet",
        };
        let orders = plan.orders.as_deref().unwrap_or("no orders");
        let _ = writeln!(out, "{}: {verdict} ({orders})", plan.id);
        for line in &plan.why {
            let _ = writeln!(out, "  {line}");
        }
        for disk in &plan.disks {
            let _ = writeln!(out, "  {} <- {}: {}: {}", disk.disk, disk.image, disk.holds, disk.why);
        }
    }
    let count = |verdict| view.machines.iter().filter(|plan| plan.verdict == verdict).count();
    let with_data = view.disks_with_data();
    let _ = writeln!(
        out,
        "{} are written, {} wait, {} refuse, {} start from their own disk, {} are not known yet; {with_data} of their \
         disks hold something. Machines that were never seen are not listed.",
        count(Verdict::Write),
        count(Verdict::Wait),
        count(Verdict::Refuse),
        count(Verdict::Local),
        count(Verdict::Unknown)
    );
    out
}
