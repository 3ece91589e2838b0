//! The way to the page from the port of machines, where the page has one of its own.

use std::net::IpAddr;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use ezio_contract::urls;

use super::at;

/// People type the server's name alone, and QR codes on the machines' screens name this port.
pub(super) fn router(page_port: u16) -> Router {
    Router::new()
        .route("/", get(async |State(port): State<u16>, headers: HeaderMap| lead(&headers, port, "")))
        .route(&at(&urls::machine("{card}")), get(machine))
        .with_state(page_port)
}

async fn machine(State(port): State<u16>, Path(card): Path<String>, headers: HeaderMap) -> Response {
    match card.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-:".contains(&byte)) {
        true => lead(&headers, port, &urls::machine(card)),
        false => super::not_found(),
    }
}

/// The page is at the name by which the caller calls this server.
fn lead(headers: &HeaderMap, port: u16, name: &str) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).and_then(host_of);
    match host {
        Some(host) => Redirect::temporary(&format!("https://{host}:{port}/{name}")).into_response(),
        None => (StatusCode::BAD_REQUEST, "the request does not say which host it is for\n").into_response(),
    }
}

/// The host without its port, if it is a name or an address.
fn host_of(host: &str) -> Option<&str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let is_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    (is_name || v6.is_some_and(|v6| v6.parse::<IpAddr>().is_ok())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_addresses_are_hosts() {
        for (host, name) in
            [("10.0.0.1:8080", "10.0.0.1"), ("lab", "lab"), ("[::1]:8080", "[::1]"), ("[::1]", "[::1]")]
        {
            assert_eq!(host_of(host), Some(name));
        }
        for host in ["", ":80", "a/b", "a@b:80", "[x]:80", "::1", "a:b:80"] {
            assert_eq!(host_of(host), None, "{host}");
        }
    }
}
