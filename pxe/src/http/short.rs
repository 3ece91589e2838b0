//! Short addresses of machines' pages: QR codes on their own screens lead here.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Redirect;
use axum::routing::get;
use ezio_contract::{Mac, urls};
use url::form_urlencoded::byte_serialize;

use super::guard::Routes;
use crate::fleet::Fleet;

/// For everybody: who reads the code has the machine in sight, and finds a login there.
pub(super) fn routes(fleet: Arc<Fleet>) -> Routes {
    Routes::new().open(&urls::machine("{card}"), get(machine)).with_state(fleet)
}

/// To the page of the machine with this card; of one that is not known yet, to the room.
async fn machine(State(fleet): State<Arc<Fleet>>, Path(card): Path<String>) -> Redirect {
    let id = card.parse::<Mac>().ok().and_then(|card| fleet.id_of(card));
    Redirect::to(&id.map_or("/".to_owned(), |id| page_of(&id)))
}

/// As the page itself names it (`page/src/route.ts`).
fn page_of(id: &str) -> String {
    let id: String = byte_serialize(id.as_bytes()).collect();
    format!("/#/machine/{}", id.replace('+', "%20"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_named_as_the_page_takes_it() {
        assert_eq!(page_of("e210c1a5-0000-4000"), "/#/machine/e210c1a5-0000-4000");
        // As `encodeURIComponent` writes it, but for letters that it leaves as they are.
        assert_eq!(page_of("a b/c+d:ä"), "/#/machine/a%20b%2Fc%2Bd%3A%C3%A4");
    }
}
