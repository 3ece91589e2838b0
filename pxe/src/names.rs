//! The one tree of names: what HTTP and TFTP serve, whoever asks. A name is looked up, in the catalogue and among the
//! texts made for one machine; none ever becomes a path on the disk, so `..` leads nowhere.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use ezio_contract::{Arch, MachineId, netboot, urls};
use ezio_netproto::tftp::name::meanings;

use crate::boot::{Site, grub_config, grub_script, ipxe_identify, ipxe_script};
use crate::catalogue::Catalogue;
use crate::conf::RoomConf;
use crate::fleet::Fleet;

const BINARY: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";
/// What a torrent is, by its media type.
pub(crate) const TORRENT: &str = "application/x-bittorrent";

/// Who asks, as far as an answer depends on it.
#[derive(Debug)]
pub(crate) struct Asker {
    /// Address that it asks from.
    pub(crate) address: IpAddr,
    /// `http://ADDRESS:PORT`, as it reaches this server.
    pub(crate) base: String,
    /// What iPXE says of its machine; nothing, from others.
    pub(crate) machine: MachineId,
}

/// What stands behind a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Bytes,
}

/// The tree.
pub(crate) struct Names {
    catalogue: Arc<Catalogue>,
    conf: Arc<RoomConf>,
    fleet: Arc<Fleet>,
    /// More kernel arguments for every machine.
    append: String,
}

impl Names {
    pub(crate) fn new(
        catalogue: Arc<Catalogue>,
        conf: Arc<RoomConf>,
        fleet: Arc<Fleet>,
        append: String,
    ) -> Self {
        Self { catalogue, conf, fleet, append }
    }

    /// What stands behind a name, or behind what firmware means by it. To ask for a machine's own script is to boot it, so
    /// the fleet takes note.
    pub(crate) fn open(&self, name: &str, asker: &Asker) -> Option<Found> {
        meanings(name).find_map(|name| self.find(&name, asker))
    }

    fn find(&self, name: &str, asker: &Asker) -> Option<Found> {
        let parts: Vec<&str> = name.split('/').collect();
        let (media_type, bytes) = match parts.as_slice() {
            [urls::CONF] => (TEXT, self.conf.text(&asker.base, &self.fleet.overs())?),
            [urls::CONF_SIGNATURE] => (TEXT, self.conf.signature()?),
            // iPXE asks for autoexec.ipxe by itself, in the folder that it came from.
            [urls::IPXE | urls::AUTOEXEC] | [urls::BOOT, _, urls::AUTOEXEC] => {
                (TEXT, self.ipxe(asker).into())
            }
            ["grub", ..] if name == urls::GRUB_CONFIG => (TEXT, grub_config().into()),
            ["grub", ..] => (TEXT, self.grub(name, asker)?.into()),
            [urls::BOOT, arch, file @ ..] => {
                (BINARY, self.catalogue.netboot(arch.parse().ok()?)?.file(&file.join("/"))?.clone())
            }
            // shim asks for GRUB beside itself; at the root where it cannot tell, for its own name came in option 67 alone.
            [file] => {
                let arch = Arch::ALL.into_iter().find(|arch| netboot::grub(*arch) == *file)?;
                (BINARY, self.catalogue.netboot(arch)?.file(file)?.clone())
            }
            [urls::IMAGES, image @ .., file] => {
                let announce = format!("{}/{}", asker.base, urls::ANNOUNCE);
                let bytes = self.catalogue.file(&image.join("/"), file, &announce)?;
                (if file.ends_with(".torrent") { TORRENT } else { BINARY }, bytes)
            }
            _ => return None,
        };
        Some(Found { media_type, bytes })
    }

    fn site(&self, asker: &Asker) -> Site {
        let has_cards = |arch: &Arch| {
            self.catalogue.netboot(*arch).is_some_and(|netboot| netboot.file(netboot::SERVER_CARDS).is_some())
        };
        let server_cards = Arch::ALL.into_iter().filter(has_cards).collect();
        Site { base: asker.base.clone(), append: self.append.clone(), server_cards }
    }

    fn ipxe(&self, asker: &Asker) -> String {
        if asker.machine.is_nobody() {
            return ipxe_identify(&asker.base);
        }
        ipxe_script(&self.site(asker), self.fleet.boots(&asker.machine, asker.address))
    }

    fn grub(&self, name: &str, asker: &Asker) -> Option<String> {
        let mac = urls::grub_machine_of(name)?;
        let boot = self.fleet.boots(&MachineId::of_card(mac), asker.address);
        Some(grub_script(&self.site(asker), mac, boot))
    }
}
