//! The view of the room: for the page, and for `ezio-pxe status`.

use std::sync::Arc;

use axum::extract::{Json, State};
use axum::routing::get;
use ezio_contract::report::Progress;
use ezio_contract::urls;
use ezio_image::conf::ImageRef;
use tokio::sync::watch;

use super::description::Barred;
use super::guard::Routes;
use super::{Announces, Bounds};
use crate::access::Role;
use crate::catalogue::{Catalogue, Image};
use crate::clock::now;
use crate::conf::RoomConf;
use crate::fleet::{Fleet, FleetView, ImageView, PartitionView};
use crate::hooks::Hooks;
use crate::rates::Rates;
use crate::seats::Seats;
use crate::tftp::Counters;

/// What the view is made of.
pub(crate) struct Overview {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) conf: Arc<RoomConf>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) seeder: watch::Receiver<Progress>,
    pub(crate) announces: Arc<Announces>,
    pub(crate) seats: Arc<Seats>,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) rates: Arc<Rates>,
    pub(crate) tftp: Arc<Counters>,
    pub(crate) bounds: Bounds,
}

pub(super) fn routes(overview: Arc<Overview>) -> Routes {
    Routes::new().at(urls::FLEET, Role::Viewer, get(fleet)).with_state(overview)
}

/// The room at this moment
#[utoipa::path(get, path = "/api/fleet", tag = "room", responses((status = 200, body = FleetView), Barred))]
pub(super) async fn fleet(State(overview): State<Arc<Overview>>) -> Json<FleetView> {
    Json(overview.view())
}

/// `names` are the images of ezio.conf.
fn image_view(image: &Image, catalogue: &Catalogue, names: &[&str]) -> ImageView {
    let set = image.name.split_once('/').map(|(set, _)| set);
    let is_any = |is: &dyn Fn(&str) -> bool| is(&image.name) || set.is_some_and(is);
    let partitions = image.manifest.partitions.iter().map(|partition| PartitionView {
        name: partition.name.clone(),
        filesystem: partition.filesystem.clone(),
        label: partition.label.clone(),
        size_bytes: partition.size,
        payload_bytes: image.torrent_of(&partition.name).map_or(0, |t| t.metainfo.total_length()),
    });
    ImageView {
        name: image.name.clone(),
        version: image.version.clone(),
        builder: image.manifest.builder.clone(),
        arch: image.manifest.arch.map(|arch| arch.to_string()),
        signed: is_any(&|name| catalogue.is_signed(name)),
        checked: image.checked,
        in_conf: is_any(&|name| names.contains(&name)),
        needed_bytes: image.needed,
        payload_bytes: image.payload_bytes(),
        notes: image.manifest.notes.clone(),
        created: image.manifest.created.clone(),
        partitions: partitions.collect(),
    }
}

impl Overview {
    pub(super) fn view(&self) -> FleetView {
        let (mut machines, counts) = self.fleet.view();
        let conf = self.conf.current();
        if let Some(conf) = &conf {
            for machine in &mut machines {
                machine.group = conf.conf.group_of(&machine.machine, None).ok().flatten().map(str::to_owned);
            }
        }
        let names: Vec<&str> =
            conf.iter().flat_map(|conf| conf.conf.images()).filter_map(ImageRef::name).collect();
        let images = self.catalogue.images.iter();
        FleetView {
            now: now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            images: images.map(|image| image_view(image, &self.catalogue, &names)).collect(),
            seeder: *self.seeder.borrow(),
            counts,
            machines,
            seats: self.seats.all(),
            rates: self.rates.room(),
        }
    }
}
