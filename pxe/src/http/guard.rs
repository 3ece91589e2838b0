//! Calls of people and their programs. Each is stated with the least role that may make it ([`Routes::at`]): one without cannot be
//! written down. Here it is found out who calls, and what changes something is put into the audit log.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;

use super::body::{Rejection, close_after_refusal};
use super::{Peer, at};
use crate::access::{Access, Caller, Deed, Role, Secret};
use crate::throttle::Throttle;

/// The cookie that holds a session.
const COOKIE: &str = "ezio-session";
/// The same under TLS: by this name browsers take and send it by TLS only, whatever other ports of this host set.
const TLS_COOKIE: &str = "__Host-ezio-session";

/// Routes, each with who may call it.
pub(super) struct Routes<S = ()> {
    routes: Vec<Route<S>>,
}

struct Route<S> {
    name: String,
    /// None: everybody may.
    role: Option<Role>,
    /// Its calls change nothing, whatever their method: they are in no log.
    asks: bool,
    calls: MethodRouter<S>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub(super) fn new() -> Self {
        Self { routes: Vec::new() }
    }

    /// Calls for those who have this role, or a higher one. They find the [`Caller`] among the request's extensions.
    pub(super) fn at(self, name: &str, role: Role, calls: MethodRouter<S>) -> Self {
        self.with(name, Some(role), false, calls)
    }

    /// Calls that only ask, with a question too long for an address, and so by POST.
    pub(super) fn asks(self, name: &str, role: Role, calls: MethodRouter<S>) -> Self {
        self.with(name, Some(role), true, calls)
    }

    /// Calls for everybody: how one gets in, and the page that asks for it.
    pub(super) fn open(self, name: &str, calls: MethodRouter<S>) -> Self {
        self.with(name, None, false, calls)
    }

    fn with(mut self, name: &str, role: Option<Role>, asks: bool, calls: MethodRouter<S>) -> Self {
        self.routes.push(Route { name: at(name), role, asks, calls });
        self
    }

    pub(super) fn with_state(self, state: S) -> Routes {
        let with = |Route { name, role, asks, calls }: Route<S>| {
            let calls = calls.with_state(state.clone());
            Route { name, role, asks, calls }
        };
        Routes { routes: self.routes.into_iter().map(with).collect() }
    }
}

impl Routes {
    pub(super) fn merge(mut self, mut other: Self) -> Self {
        self.routes.append(&mut other.routes);
        self
    }

    /// All of them, guarded.
    pub(super) fn guarded(self, access: &Arc<Access>, throttle: &Arc<Throttle>) -> Router {
        self.routes.into_iter().fold(Router::new(), |router, Route { name, role, asks, calls }| {
            let gate = Gate { access: Arc::clone(access), throttle: Arc::clone(throttle), role, asks };
            router.route(&name, calls.route_layer(from_fn_with_state(gate, guard)))
        })
    }
}

/// Before the calls of a route.
#[derive(Clone)]
struct Gate {
    access: Arc<Access>,
    throttle: Arc<Throttle>,
    /// None: everybody may.
    role: Option<Role>,
    /// See [`Routes::asks`].
    asks: bool,
}

/// What a call has done, in the words of the audit log; else that has method and path. An answer has it among its extensions.
#[derive(Debug, Clone)]
pub(super) struct Did {
    /// Where it says by itself who it was, as logging in does.
    pub(super) who: Option<String>,
    pub(super) what: String,
}

impl Did {
    /// Puts it beside an answer.
    pub(super) fn beside(what: String, answer: impl IntoResponse) -> Response {
        (axum::Extension(Self { who: None, what }), answer).into_response()
    }
}

/// Asks once more whether the caller of a request that lasts may make it: a session or a token may have ended.
#[derive(Clone)]
pub(super) struct StillIn(Arc<dyn Fn() -> bool + Send + Sync>);

impl StillIn {
    pub(super) fn holds(&self) -> bool {
        (self.0)()
    }
}

async fn guard(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let Some(peer) = request.extensions().get::<Peer>().copied() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let caller = match gate.admit(&method, request.headers(), peer.tls) {
        Ok(caller) => caller,
        Err((status, why)) => {
            gate.throttle.warn("access", || format!("{}: {method} {path}: {why}", peer.remote));
            let answer = (status, [(header::WWW_AUTHENTICATE, "Bearer")], format!("{why}\n")).into_response();
            return close_after_refusal(answer).await;
        }
    };
    if let Some(caller) = &caller {
        request.extensions_mut().insert(caller.clone());
    }
    if gate.asks {
        return close_after_refusal(next.run(request).await).await;
    }
    if method.is_safe() {
        let (gate, headers) = (gate.clone(), request.headers().clone());
        let still = move || gate.admit(&method, &headers, peer.tls).is_ok();
        request.extensions_mut().insert(StillIn(Arc::new(still)));
        return next.run(request).await;
    }
    // In a task of its own: who hangs up once the act is done does not keep it out of the log.
    let acting = tokio::spawn(audited(gate, peer, caller, request, next));
    acting.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// A call that changes something, and its entry in the log.
async fn audited(gate: Gate, peer: Peer, caller: Option<Caller>, request: Request, next: Next) -> Response {
    let call = format!("{} {}", request.method(), request.uri().path());
    let answer = next.run(request).await;
    let did = answer.extensions().get::<Did>().cloned();
    let who = did.as_ref().and_then(|did| did.who.clone()).or_else(|| caller.map(|caller| caller.label()));
    let what = did.map_or(call, |did| did.what);
    let answer = close_after_refusal(answer).await;
    let Some(who) = who else { return answer };
    let deed = Deed::new(who, peer.remote.ip(), what, answer.status().as_u16());
    tracing::info!("{} from {}: {} ({})", deed.who, deed.from, deed.what, deed.status);
    match gate.access.audit().add(deed).await {
        Ok(()) => answer,
        Err(e) => {
            tracing::error!("{e:#}");
            let why = "this was done, but the audit log could not be kept: look at the server's disk\n";
            (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
        }
    }
}

impl Gate {
    /// Who calls, if that is somebody who may.
    fn admit(&self, method: &Method, headers: &HeaderMap, tls: bool) -> Result<Option<Caller>, Rejection> {
        let forbidden = |why: &str| Err((StatusCode::FORBIDDEN, why.to_owned()));
        let unknown = || (StatusCode::UNAUTHORIZED, "log in, or give a token that counts".to_owned());
        let bearer = bearer(headers);
        if bearer.is_none() && !method.is_safe() && is_foreign(headers) {
            return forbidden("this comes from a page of another server");
        }
        let Some(role) = self.role else { return Ok(None) };
        let caller = match (&bearer, cookie(headers, tls)) {
            (Some(token), _) => self.access.bearer(token),
            (None, Some(cookie)) => {
                let caller = self.access.session(&cookie);
                if caller.is_some() && !method.is_safe() && !headers.contains_key(header::ORIGIN) {
                    return forbidden("a call by cookie says in Origin which page makes it");
                }
                caller
            }
            (None, None) => None,
        };
        let nobody_asked = || self.access.nobody_asked().filter(|_| is_loopback(headers));
        let caller = caller.or_else(nobody_asked).ok_or_else(unknown)?;
        match caller.role >= role {
            true => Ok(Some(caller)),
            false => forbidden(&format!("{} is {}, and this is for an {role}", caller.label(), caller.role)),
        }
    }
}

/// The token that a program shows.
fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(Secret::said(given.strip_prefix("Bearer ")?.trim()))
}

/// The session of a browser.
pub(super) fn cookie(headers: &HeaderMap, tls: bool) -> Option<Secret> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == cookie_name(tls)).map(|(_, value)| Secret::said(value))
}

fn cookie_name(tls: bool) -> &'static str {
    if tls { TLS_COOKIE } else { COOKIE }
}

/// What gives a browser a session for so many seconds; 0 takes it away. Scripts do not see it, and pages of other servers do not
/// send it along.
pub(super) fn set_cookie(secret: Option<&Secret>, life_s: u64, tls: bool) -> HeaderValue {
    let secret = secret.map_or("", Secret::reveal);
    let (name, secure) = (cookie_name(tls), if tls { "; Secure" } else { "" });
    let cookie = format!("{name}={secret}; Path=/; Max-Age={life_s}; HttpOnly; SameSite=Strict{secure}");
    // It is made of ASCII that a header may hold.
    HeaderValue::try_from(cookie).unwrap_or(HeaderValue::from_static(""))
}

/// Does a browser say that a page of another server makes this call? It says so of every call that is not safe.
fn is_foreign(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    authority.is_none() || authority != host
}

/// Does the caller call this server by an address of loopback? A name of somebody else's that leads here (DNS rebinding) would let that
/// one's pages in where nobody has to log in.
fn is_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn pages_of_other_servers_are_told_by_their_origin() {
        let foreign = |origin, host| is_foreign(&headers(&[("origin", origin), ("host", host)]));
        assert!(!foreign("https://ezio.example:8443", "ezio.example:8443"));
        assert!(!is_foreign(&headers(&[("host", "ezio.example")])));
        for origin in [
            "https://evil.example",
            "https://ezio.example",
            "null",
            "",
            "https://ezio.example:8443.evil.example",
        ] {
            assert!(foreign(origin, "ezio.example:8443"), "{origin}");
        }
        assert!(is_foreign(&headers(&[("origin", "https://ezio.example")])));
    }

    #[test]
    fn loopback_has_few_names() {
        let here = |host| is_loopback(&headers(&[("host", host)]));
        for host in ["localhost", "localhost:8443", "127.0.0.1:8443", "127.9.9.9", "[::1]:8443", "[::1]"] {
            assert!(here(host), "{host}");
        }
        for host in
            ["", "evil.example:8443", "127.0.0.1.evil.example", "10.0.0.1:8443", "localhost.evil.example"]
        {
            assert!(!here(host), "{host}");
        }
    }

    #[test]
    fn secrets_are_read_from_where_they_may_stand() {
        let of =
            |value| bearer(&headers(&[("authorization", value)])).map(|secret| secret.reveal().to_owned());
        assert_eq!(of("Bearer abc").as_deref(), Some("abc"));
        assert!(of("Basic abc").is_none() && of("bearer abc").is_none() && of("Bearer").is_none());
        let of =
            |value| cookie(&headers(&[("cookie", value)]), false).map(|secret| secret.reveal().to_owned());
        assert_eq!(of("a=1; ezio-session=abc; b=2").as_deref(), Some("abc"));
        assert!(of("xezio-session=abc").is_none() && of("ezio-session").is_none());
    }
}
