//! Who may what: each call with each role, and what becomes of those who have none.

use std::time::Duration;

use reqwest::header::{COOKIE, HOST, ORIGIN, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::room::{Image, Server};

const PASSWORD: &str = "a long password";

/// Least role of each call: 0 everybody, 1 viewer, 2 operator, 3 administrator. What is sent is good enough to get past the
/// guard and not good enough to change anything.
const CALLS: [(&str, &str, usize); 40] = [
    ("GET", "", 0),
    ("GET", "api/openapi.json", 0),
    ("POST", "api/login", 0),
    ("POST", "api/first", 0),
    ("GET", "api/me", 1),
    ("POST", "api/password", 1),
    ("POST", "api/logout", 1),
    ("GET", "api/fleet", 1),
    ("GET", "api/events", 1),
    ("GET", "api/rates/nobody", 1),
    ("GET", "api/plan", 1),
    ("GET", "api/conf", 1),
    ("PUT", "api/conf", 3),
    ("POST", "api/conf/check", 2),
    ("GET", "api/console/nobody", 1),
    ("GET", "api/history", 1),
    ("GET", "api/history.csv", 1),
    ("POST", "api/again", 2),
    ("POST", "api/approve", 2),
    ("POST", "api/hold", 2),
    ("POST", "api/restart", 2),
    ("POST", "api/poweroff", 2),
    ("POST", "api/forget", 2),
    ("PATCH", "api/seats", 2),
    ("POST", "api/console", 2),
    ("POST", "api/wake", 2),
    ("POST", "api/deploy/plan", 2),
    ("POST", "api/deploy", 2),
    ("POST", "api/cancel", 2),
    ("GET", "api/schedules", 1),
    ("POST", "api/schedules", 2),
    ("POST", "api/schedules/remove", 2),
    ("GET", "api/users", 3),
    ("POST", "api/users", 3),
    ("PATCH", "api/users/nobody", 3),
    ("DELETE", "api/users/nobody", 3),
    ("GET", "api/tokens", 3),
    ("POST", "api/tokens", 3),
    ("DELETE", "api/tokens/nobody", 3),
    ("GET", "api/audit", 3),
];

const ROLES: [&str; 3] = ["viewer", "operator", "administrator"];

struct Room {
    server: Server,
    http: Client,
    /// As a command on the server.
    here: Client,
}

impl Room {
    fn open(args: &[&str]) -> Self {
        let server = Server::start(&Image::make("golden"), args);
        let (http, here) = (Client::new(), server.client(None));
        Self { server, http, here }
    }

    fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.server.people)
    }

    fn call(&self, client: &Client, method: &str, name: &str) -> RequestBuilder {
        let method: Method = method.parse().unwrap();
        let request = client.request(method.clone(), self.url(name));
        if method == Method::GET { request } else { request.json(&json!({ "?": 0 })) }
    }

    async fn make(&self, list: &str, body: Value) -> Value {
        let answer = self.here.post(self.url(list)).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{list} {body}: {}", answer.status());
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
    }

    async fn token(&self, name: &str, role: &str, until: Option<f64>) -> String {
        let made = self.make("api/tokens", json!({ "name": name, "role": role, "until": until })).await;
        made["token"].as_str().unwrap().to_owned()
    }

    async fn user(&self, name: &str, role: &str) -> String {
        self.make("api/users", json!({ "name": name, "role": role, "password": PASSWORD })).await;
        self.log_in(name).await
    }

    /// Its cookie.
    async fn log_in(&self, name: &str) -> String {
        let body = json!({ "name": name, "password": PASSWORD });
        let answer = self.http.post(self.url("api/login")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        cookie(&answer)
    }

    /// The page's own origin.
    fn origin(&self) -> String {
        self.server.people.clone()
    }
}

/// NAME=VALUE of the cookie that an answer sets.
fn cookie(answer: &reqwest::Response) -> String {
    let set = answer.headers()[SET_COOKIE].to_str().unwrap();
    for word in ["__Host-ezio-session=", "Secure", "HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(set.contains(word), "{set}");
    }
    set.split(';').next().unwrap().to_owned()
}

async fn status(request: RequestBuilder) -> StatusCode {
    request.send().await.unwrap().status()
}

fn is_in(status: StatusCode) -> bool {
    status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN
}

#[tokio::test]
async fn each_call_is_for_those_of_its_role_and_for_nobody_below() {
    let room = Room::open(&[]);
    for (rank, role) in ROLES.iter().enumerate() {
        let token = room.token(&format!("t-{role}"), role, None).await;
        let program = room.server.client(Some(&token));
        let account = format!("u-{role}");
        let mut session = room.user(&account, role).await;
        for (method, name, least) in CALLS {
            let expected = rank + 1 >= least;
            let as_program = status(room.call(&program, method, name)).await;
            assert!(
                least == 0 || is_in(as_program) == expected || name == "api/password",
                "{method} {name} as token {role}: {as_program}"
            );
            let request =
                room.call(&room.http, method, name).header(COOKIE, &session).header(ORIGIN, room.origin());
            let as_person = status(request).await;
            assert!(least == 0 || is_in(as_person) == expected, "{method} {name} as {role}: {as_person}");
            if name == "api/logout" {
                session = room.log_in(&account).await;
            }
        }
    }
}

#[tokio::test]
async fn each_call_that_is_described_is_in_the_table() {
    let room = Room::open(&[]);
    let description = room.http.get(room.url("api/openapi.json")).send().await.unwrap();
    let description: Value = description.json().await.unwrap();
    for (path, calls) in description["paths"].as_object().unwrap() {
        for (method, call) in calls.as_object().unwrap() {
            let name = path.trim_start_matches('/').replace("{name}", "nobody");
            let stated = CALLS.iter().any(|(m, n, _)| m.eq_ignore_ascii_case(method) && *n == name);
            let for_machines = call["tags"] == json!(["machines"]) || path == "/metrics";
            assert!(stated != for_machines, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn who_is_nobody_gets_in_nowhere() {
    let room = Room::open(&[]);
    let soon = room.server.now() + 0.3;
    let expires = room.token("expires", "administrator", Some(soon)).await;
    let revoked = room.token("revoked", "administrator", None).await;
    let session = room.user("anna", "administrator").await;
    assert_eq!(status(room.here.delete(room.url("api/tokens/revoked"))).await, StatusCode::NO_CONTENT);
    while status(room.server.client(Some(&expires)).get(room.url("api/me"))).await.is_success() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (method, name, _) in CALLS.into_iter().filter(|(_, _, least)| *least > 0) {
        let call = |client: &Client| room.call(client, method, name);
        let unknown = [
            call(&room.http),
            call(&room.server.client(Some(&expires))),
            call(&room.server.client(Some(&revoked))),
            call(&room.server.client(Some(""))),
            call(&room.http).header(COOKIE, "__Host-ezio-session=0000"),
            // A token that is wrong is not made good by a cookie.
            call(&room.server.client(Some("0000"))).header(COOKIE, &session).header(ORIGIN, room.origin()),
        ];
        for (number, request) in unknown.into_iter().enumerate() {
            assert_eq!(status(request).await, StatusCode::UNAUTHORIZED, "{method} {name}, way {number}");
        }
        if method == "GET" {
            continue;
        }
        for origin in ["https://evil.example", "null", "http://127.0.0.1:1", ""] {
            let foreign = call(&room.http).header(COOKIE, &session).header(ORIGIN, origin);
            assert_eq!(status(foreign).await, StatusCode::FORBIDDEN, "{method} {name} from {origin:?}");
        }
        let unsaid = call(&room.http).header(COOKIE, &session);
        assert_eq!(status(unsaid).await, StatusCode::FORBIDDEN, "{method} {name} without Origin");
    }
    // No other page logs a browser in, either.
    let login = json!({ "name": "anna", "password": PASSWORD });
    let foreign = room.http.post(room.url("api/login")).json(&login).header(ORIGIN, "https://evil.example");
    assert_eq!(status(foreign).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn who_is_thrown_out_sees_no_more() {
    let room = Room::open(&[]);
    let token = room.token("screen", "viewer", None).await;
    let session = room.user("anna", "viewer").await;
    let watch =
        |client: Client, cookie: &str| client.get(room.url("api/events")).header(COOKIE, cookie).send();
    let mut watchers = [
        watch(room.server.client(Some(&token)), "").await.unwrap(),
        watch(room.http.clone(), &session).await.unwrap(),
    ];
    for watcher in &mut watchers {
        assert!(watcher.chunk().await.unwrap().is_some());
    }
    assert!(status(room.here.delete(room.url("api/tokens/screen"))).await.is_success());
    assert!(status(room.here.delete(room.url("api/users/anna"))).await.is_success());
    for watcher in &mut watchers {
        let end = async { while watcher.chunk().await.unwrap().is_some() {} };
        tokio::time::timeout(Duration::from_secs(20), end).await.unwrap();
    }
}

#[tokio::test]
async fn commands_manage_accounts_and_tokens() {
    let room = Room::open(&[]);
    let server = &room.server;
    let add = |password: &str| server.told(&["user", "add", "anna", "--role", "viewer"], password);
    let short = String::from_utf8(add("short\n").stderr).unwrap();
    assert!(short.contains("at least 12 characters"), "{short}");
    assert!(add(&format!("{PASSWORD}\n")).status.success());
    room.log_in("anna").await;
    server.command(&["user", "role", "anna", "operator"]);
    let users: Value = serde_json::from_str(&server.command(&["user", "list", "--json"])).unwrap();
    assert_eq!((&users[0]["name"], &users[0]["role"]), (&json!("anna"), &json!("operator")));
    assert!(server.told(&["user", "password", "anna"], "another password\n").status.success());
    server.command(&["user", "remove", "anna"]);
    assert_eq!(server.command(&["user", "list"]).lines().count(), 1);
    assert!(server.command_error(&["user", "remove", "anna"]).contains("no account \"anna\""));

    let token = server.command(&["token", "new", "script", "--role", "viewer", "--days", "2"]);
    assert!(status(server.client(Some(token.trim())).get(room.url("api/me"))).await.is_success());
    let list = server.command(&["token", "list"]);
    assert!(list.contains("script  viewer") && !list.contains(token.trim()), "{list}");
    server.command(&["token", "revoke", "script"]);
    assert!(!status(server.client(Some(token.trim())).get(room.url("api/me"))).await.is_success());
    let audit = server.command(&["audit"]);
    assert!(audit.contains("this server") && audit.contains("make account anna operator"), "{audit}");
    assert!(!audit.contains(PASSWORD));
}

#[tokio::test]
async fn what_changes_nothing_is_in_no_log_whatever_its_method() {
    let room = Room::open(&[]);
    let asks = [
        ("api/conf/check", json!({ "text": "image = \"golden\"\n" }), StatusCode::OK),
        ("api/conf/check", json!({ "?": 0 }), StatusCode::BAD_REQUEST),
        ("api/deploy/plan", json!({ "machines": "all" }), StatusCode::OK),
        ("api/deploy/plan", json!({ "machines": "all", "image": "gone" }), StatusCode::UNPROCESSABLE_ENTITY),
    ];
    for (name, body, expected) in asks {
        assert_eq!(status(room.here.post(room.url(name)).json(&body)).await, expected, "{name} {body}");
    }
    assert_eq!(status(room.here.post(room.url("api/hold")).json(&json!({ "machines": "all" }))).await, 200);
    let audit: Value = room.here.get(room.url("api/audit")).send().await.unwrap().json().await.unwrap();
    let said: Vec<_> = audit.as_array().unwrap().iter().map(|deed| deed["what"].as_str().unwrap()).collect();
    assert_eq!(said, ["hold "]);
}

#[tokio::test]
async fn machines_need_no_login() {
    let room = Room::open(&[]);
    for name in ["ezio.conf", "boot.ipxe", "grub/grub.cfg", "images/golden/manifest.toml", "scrape"] {
        assert_eq!(
            status(room.http.get(format!("{}/{name}", room.server.base))).await,
            StatusCode::OK,
            "{name}"
        );
    }
    for name in ["api/report", "api/identity"] {
        let answer = status(room.http.post(format!("{}/{name}", room.server.base)).json(&json!({}))).await;
        assert!(is_in(answer) && answer != StatusCode::NOT_FOUND, "{name}: {answer}");
    }
}

#[tokio::test]
async fn the_link_that_is_printed_makes_the_first_administrator_once() {
    let room = Room::open(&[]);
    let link = room.server.printed.split("/#/first/").nth(1).unwrap().split_whitespace().next().unwrap();
    let first = |link: &str, name: &str| {
        let body = json!({ "link": link, "name": name, "password": PASSWORD });
        room.http.post(room.url("api/first")).json(&body)
    };
    assert_eq!(status(first(&"0".repeat(64), "eve")).await, StatusCode::UNAUTHORIZED);
    let answer = first(link, "anna").send().await.unwrap();
    let cookie = cookie(&answer);
    assert_eq!(answer.json::<Value>().await.unwrap()["role"], "administrator");
    assert_eq!(status(first(link, "eve")).await, StatusCode::UNAUTHORIZED);
    let users = room.http.get(room.url("api/users")).header(COOKIE, cookie).send().await.unwrap();
    let users: Value = users.json().await.unwrap();
    assert_eq!((users.as_array().unwrap().len(), &users[0]["name"]), (1, &json!("anna")));
}

#[tokio::test]
async fn guesses_are_bounded_and_told_apart_by_nothing() {
    let room = Room::open(&[]);
    room.user("anna", "viewer").await;
    let guess = |name: &str, password: &str| {
        room.http.post(room.url("api/login")).json(&json!({ "name": name, "password": password })).send()
    };
    let (known, unknown) = (guess("anna", "wrong").await.unwrap(), guess("eve", "wrong").await.unwrap());
    assert_eq!((known.status(), unknown.status()), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    assert_eq!(known.text().await.unwrap(), unknown.text().await.unwrap());
    for _ in 2..10 {
        assert_eq!(guess("anna", "wrong").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    let late = guess("anna", PASSWORD).await.unwrap();
    assert_eq!(late.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(late.text().await.unwrap().contains("15 min"));
    let audit = room.server.command(&["audit"]);
    assert!(audit.contains("127.0.0.1  401     fail to log in as anna (9 times)\n"), "{audit}");
    assert!(
        audit.contains("fail to log in as somebody who has no account\n") && !audit.contains("eve"),
        "{audit}"
    );
}

#[tokio::test]
async fn accounts_tokens_and_the_audit_log_outlive_kill_9() {
    let image = Image::make("golden");
    let state = tempfile::tempdir().unwrap();
    let start = || Server::start(&image, &["--state", state.path().to_str().unwrap()]);
    let open = |server: Server| Room { http: Client::new(), here: server.client(None), server };
    let room = open(start());
    let session = room.user("anna", "operator").await;
    let token = room.token("script", "operator", None).await;
    let act = |room: &Room, client: &Client| {
        client.post(room.url("api/hold")).json(&json!({ "machines": ["PC-1"] }))
    };
    assert_eq!(status(act(&room, &room.server.client(Some(&token)))).await, StatusCode::NOT_FOUND);
    let old = room.here.clone();
    drop(room);
    let room = open(start());
    assert!(!room.server.printed.contains("/#/first/"), "there is an account");
    assert_eq!(status(old.get(room.url("api/me"))).await, StatusCode::UNAUTHORIZED, "the old local token");
    let again = room.http.get(room.url("api/me")).header(COOKIE, session);
    assert_eq!(status(again).await, StatusCode::UNAUTHORIZED, "a session ends with the process");
    room.log_in("anna").await;
    assert!(status(room.server.client(Some(&token)).get(room.url("api/fleet"))).await.is_success());
    let audit: Value = room.here.get(room.url("api/audit")).send().await.unwrap().json().await.unwrap();
    let said: Vec<String> = audit
        .as_array()
        .unwrap()
        .iter()
        .map(|deed| format!("{}: {}", deed["who"], deed["what"]).replace('"', ""))
        .collect();
    let expected = [
        "this server: add account anna, operator",
        "anna: log in",
        "this server: make token script, operator",
        "token script: hold ",
        "anna: log in",
    ];
    assert_eq!(said, expected);
    assert_eq!(audit[3]["status"], 404);
    assert_eq!(audit[3]["from"], "127.0.0.1");
    assert!(!audit.to_string().contains(PASSWORD) && !audit.to_string().contains(&token));
}

#[tokio::test]
async fn without_a_login_only_loopback_is_served_and_only_by_its_own_names() {
    let image = Image::make("golden");
    let error = Server::fails(&image, &["--no-auth", "--listen", "0.0.0.0"]);
    assert!(error.contains("--no-auth") && error.contains("--listen 127.0.0.1"), "{error}");
    let room = Room::open(&["--no-auth"]);
    assert!(!room.server.printed.contains("/#/first/"));
    let act = || room.http.post(room.url("api/hold")).json(&json!({ "machines": "all" }));
    assert_eq!(status(act()).await, StatusCode::OK);
    assert_eq!(status(act().header(ORIGIN, room.origin())).await, StatusCode::OK);
    assert_eq!(status(act().header(ORIGIN, "https://evil.example")).await, StatusCode::FORBIDDEN);
    // Somebody else's name that leads here.
    let rebound = room.http.get(room.url("api/fleet")).header(HOST, "evil.example:8080");
    assert_eq!(status(rebound).await, StatusCode::UNAUTHORIZED);
}
