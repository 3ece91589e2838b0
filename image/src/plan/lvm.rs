//! LVM that fills a larger partition: whether it can is known before anything is erased, from what the manifest says.

use super::PlanError;
use super::grow::{Growth, VolumeGrowth, refuse};
use crate::filesystem;
use crate::manifest::{LvmInfo, PartitionInfo};

/// Growth of a physical volume that has `room` bytes on the target, and of a logical volume; and what people should know.
pub(super) fn growth(
    info: &PartitionInfo,
    lvm: &LvmInfo,
    number: Option<u32>,
    room: u64,
    wanted: Option<&str>,
) -> Result<(Option<Growth>, Vec<String>), PlanError> {
    let refuse = |why: String| refuse(&info.name, why);
    let volume = info
        .physical_volume()
        .ok_or_else(|| refuse("the manifest tells too little of its LVM".to_owned()))?;
    let of = |name: &str| lvm.volumes.iter().find(|volume| volume.name == name);
    let is_swap = |name: &str| of(name).is_some_and(|volume| volume.filesystem.as_deref() == Some("swap"));
    let grown = volume.grown(room, wanted, |volume, _| is_swap(&volume.name)).map_err(refuse)?;
    let mut growth = Growth {
        name: info.name.clone(),
        number,
        filesystem: "LVM2_member".to_owned(),
        from: info.size,
        to: room,
        volume: None,
    };
    if let (Some(name), Some(place)) = (wanted, &grown.volume) {
        if number.is_none() {
            return Err(refuse(
                "logical volumes grow where a whole disk is written, with its table".to_owned(),
            ));
        }
        let (from, filesystem) = of(name).map(|v| (v.size, v.filesystem.clone())).unwrap_or_default();
        let (to, filesystem) = (place.end - place.start, filesystem.unwrap_or_default());
        if let Some(why) = filesystem::refuses_to_grow(&filesystem) {
            return Err(refuse(format!("{}/{name}: {why}", lvm.group)));
        }
        growth.volume = (to > from).then(|| VolumeGrowth { name: name.to_owned(), filesystem, from, to });
    }
    let says = |name: &str| format!("{}: the swap {}/{name} moves behind what grows", info.name, lvm.group);
    let moved = grown.moved.iter().map(|moved| says(&moved.name)).collect();
    let something = room > info.size || growth.volume.is_some();
    Ok((something.then_some(growth), moved))
}
