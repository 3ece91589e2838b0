//! What somebody wants of a machine beside `ezio.conf`. It is kept with the machine until it is carried out or taken back.

use ezio_image::conf::EndAction;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An order that lies over `ezio.conf`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Order {
    /// Name of an image of this server; none: as ezio.conf says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    /// `reboot`, `poweroff`, `shell` or `hold` after a good run; none: as ezio.conf says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) then: Option<EndAction>,
    /// Where it comes from: `ezio-pxe deploy`, `schedule 3`.
    #[serde(default)]
    pub(crate) source: String,
}
