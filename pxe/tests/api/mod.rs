//! The description of the interface is held against the interface: what is there is described, and what is described is there.

mod conf;
mod deploy;
mod history;
mod wake;

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::room::{Image, Server};
use super::seen;

/// Paths that are no calls for JSON, and are described all the same.
const OTHERS: [&str; 1] = ["/metrics"];

/// All names below `api/` of the contract, where every route's name comes from.
fn names() -> BTreeSet<String> {
    let source = include_str!("../../../contract/src/urls.rs");
    let quoted = source.split('"').skip(1).step_by(2).filter(|name| name.starts_with("api/"));
    quoted.map(|name| format!("/{name}")).chain(OTHERS.map(str::to_owned)).collect()
}

#[tokio::test]
async fn each_call_is_described_and_each_that_is_described_exists() {
    let image = Image::make("golden");
    let server = Server::start(&image, &[]);
    let description: Value = serde_json::from_str(&seen(&server, "/api/openapi.json").await).unwrap();
    let paths = description["paths"].as_object().unwrap();
    assert_eq!(paths.keys().cloned().collect::<BTreeSet<_>>(), names());
    let client = reqwest::Client::new();
    for (path, calls) in paths {
        for (method, call) in calls.as_object().unwrap() {
            let name: Method = method.to_uppercase().parse().unwrap();
            let for_machines = call["tags"] == json!(["machines"]) || path == "/metrics";
            let port = if for_machines { &server.base } else { &server.people };
            let answer = client.request(name, format!("{port}{path}")).send().await.unwrap();
            // Without a body, and for nobody: any answer but that there is no such call.
            let status = answer.status().as_u16().to_string();
            let nothing = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
            assert!(!nothing.contains(&answer.status()), "{method} {path}");
            assert!(call["responses"].get(&status).is_some(), "{method} {path} answers {status}");
        }
    }
}
