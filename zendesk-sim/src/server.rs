//! The simulation as a running server.
use crate::admin;
use crate::api::bulk;
use crate::clock::Clock;
use crate::deliver;
use crate::http::bad::{self, Sent};
use crate::http::faults::{self, Fault};
use crate::http::gate::{Gate, Traffic};
use crate::http::kept::Kept;
use crate::http::limits::{Limits, Terms};
use crate::http::wire::Tap;
use crate::http::{Reply, Req};
use crate::journal;
use crate::life;
use crate::options::Options;
use crate::sell::Desk;
use crate::tls::TlsListener;
use crate::world::World;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

const LARGEST: usize = 10 * 1024 * 1024;

/// What every part of a running simulation shares.
pub struct Shared {
    /// The clock.
    pub clock: Clock,
    /// For deliveries.
    pub client: reqwest::Client,
    /// Told when something may be due.
    pub wake: Notify,
    /// Told when a delivery ended.
    pub settled: Notify,
    /// Background acts per simulated minute.
    pub life: f64,
    /// How many records each record stands for.
    pub row_weight: usize,
    gate: Mutex<Gate>,
    sell: Mutex<Desk>,
}

impl Shared {
    /// The account and what stands before it.
    pub fn gate(&self) -> MutexGuard<'_, Gate> {
        // A handler that panicked must not take the others down.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sell.
    pub fn sell(&self) -> MutexGuard<'_, Desk> {
        self.sell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request to Sell, which shares the account's faults, switch of limits and counts; none means that no answer comes.
    fn answer_sell(&self, req: &Req, malformed: bool) -> Option<Reply> {
        let mut gate = self.gate();
        gate.traffic.count(req);
        let struck = faults::strike(&mut gate.world, req);
        let limited = gate.limited;
        let mut reply = match struck {
            Fault::Silence => return None,
            struck => self.sell().answer(req, malformed, struck, limited, self.clock.now()),
        };
        if reply.status == 429 {
            gate.traffic.throttled();
        }
        faults::spoil(&gate.world, req, &mut reply);
        (!faults::lost(&gate.world, req)).then_some(reply)
    }

    /// Waits until nothing is due and nothing is on its way.
    pub async fn drained(&self) {
        loop {
            self.wake.notify_one();
            let settled = self.settled.notified();
            let by = if self.clock.is_driven() { self.clock.now_ms() } else { i64::MAX };
            if !self.gate().world.hooks.busy(by) {
                return;
            }
            // Time may also make things due; look again soon.
            let _ = tokio::time::timeout(Duration::from_millis(20), settled).await;
        }
    }
}

/// A running simulation; ends when stopped or dropped.
pub struct Sim {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// Everything a client has to know, as printed by the binary.
    pub about: Value,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Sim {
    /// Makes an account and serves it, on threads of its own: a caller that pauses or starves its runtime
    /// does not stop the simulation, and stopping it cuts every connection.
    pub async fn start(options: Options) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let served = runtime.spawn(serve(options)).await;
        let (url, about, shared) = match served.map_err(std::io::Error::other).flatten() {
            Ok(served) => served,
            Err(e) => {
                // A runtime must not be dropped where it cannot wait for its threads.
                runtime.shutdown_background();
                return Err(e);
            }
        };
        Ok(Self { url, about, shared, runtime: Some(runtime) })
    }

    /// The latest requests, as `GET /_sim/requests/kept` tells them; for when nobody can wait for an answer.
    pub fn kept(&self) -> Value {
        self.shared.gate().kept.as_json()
    }

    /// Ends the simulation.
    pub fn stop(self) {}
}

impl Drop for Sim {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts everything and answers where it is.
async fn serve(options: Options) -> std::io::Result<(String, Value, Arc<Shared>)> {
    // Webhooks go over plain HTTP, but built together with the daemon, the client wants a TLS provider. An error only says
    // that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind(&options.listen).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let tls = match &options.tls {
        Some((listen, folder)) => Some(TlsListener::bind(listen, folder).await?),
        None => None,
    };
    let clock = Clock::new(options.clock, options.start);
    let (world, journal, reached) = journal::make_world(&options, clock.now())?;
    // A kept account may have lived faster than real time: its time goes on from there.
    clock.advance_ms(reached.0 * 1000 - clock.now_ms());
    let mut about = about(&world, &url);
    let desk = Desk::new(&options, clock.now());
    let sell = match &options.sell_listen {
        Some(address) => {
            let listener = TcpListener::bind(address).await?;
            about["sell"] = desk.about(&format!("http://{}", listener.local_addr()?));
            Some(listener)
        }
        None => None,
    };
    let terms = Terms::new(&options, clock.factor());
    let shared = Arc::new(Shared {
        clock,
        client: reqwest::Client::builder().no_proxy().build().map_err(std::io::Error::other)?,
        wake: Notify::new(),
        settled: Notify::new(),
        life: options.life,
        row_weight: options.row_weight,
        sell: Mutex::new(desk),
        gate: Mutex::new(Gate {
            world,
            journal,
            limits: Limits::default(),
            traffic: Traffic::default(),
            kept: Kept::new(options.keep_requests),
            limited: options.limits,
            terms,
        }),
    });
    let router = axum::Router::new().fallback(handle).with_state(Arc::clone(&shared));
    tokio::spawn(deliver::run(Arc::clone(&shared)));
    if let Some(listener) = sell {
        let router = axum::Router::new().fallback(handle_sell).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router.into_make_service_with_connect_info::<Tap>()).await });
    }
    if options.life > 0.0 && !shared.clock.is_driven() {
        tokio::spawn(life::background(Arc::clone(&shared), options.life));
    }
    if !shared.clock.is_driven() {
        tokio::spawn(bulk::work::background(Arc::clone(&shared)));
    }
    if let Some(tls) = tls {
        let router = router.clone();
        tokio::spawn(async move { axum::serve(tls, router).await });
    }
    tokio::spawn(async move {
        // Serving ends only with the runtime itself.
        let _ = axum::serve(listener, router.into_make_service_with_connect_info::<Tap>()).await;
    });
    Ok((url, about, shared))
}

fn about(world: &World, url: &str) -> Value {
    let email = world.users.get(&world.admin_id()).and_then(|user| user.email.clone());
    json!({"listening": url, "admin": format!("{url}/_sim"), "subdomain": world.subdomain, "admin_email": email,
        "api_token": world.tokens.api.first(), "oauth_token": world.tokens.oauth.first().map(|t| &t.secret),
        "client_id": world.tokens.clients.first().map(|client| &client.identifier),
        "client_secret": world.tokens.clients.first().map(|client| &client.secret),
        "account_id": world.account_id})
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, LARGEST).await else {
        return respond(Reply::bad("PayloadTooLarge", "The request is too large"));
    };
    let req = take_apart(&head, &bytes, shared.row_weight);
    if req.path.starts_with("/_sim") {
        return respond(admin::answer(&shared, &req).await);
    }
    shared.gate().kept.push(&req, bytes.len());
    let malformed = says_json(&head) && !bytes.is_empty() && req.body.is_null() && bytes.as_ref() != b"null";
    if malformed {
        return respond(Reply::bad("InvalidJSON", "The request body is not valid JSON"));
    }
    if req.method == "POST" && req.path == "/api/v2/webhooks/test" {
        return respond(admin::hook_test::answer(&shared, &req).await);
    }
    let answer = shared.gate().answer(&shared.clock, &req);
    if req.method != "GET" {
        shared.wake.notify_one();
    }
    let Some(reply) = answer else {
        return std::future::pending().await;
    };
    finish(&shared, &req, reply, &head).await
}

/// Sends an answer, or what a fault makes of it.
async fn finish(shared: &Shared, req: &Req, reply: Reply, head: &axum::http::request::Parts) -> Response {
    let (sent, latency) = {
        let faults = &mut shared.gate().world.faults;
        (bad::spoil(&mut faults.bad_answers, req, reply), faults.latency_ms)
    };
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    match sent {
        Sent::Whole(reply) => respond(reply),
        Sent::Raw(raw) => raw.write(head.extensions.get::<ConnectInfo<Tap>>().map(|tap| &tap.0)).await,
    }
}

async fn handle_sell(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let bytes = to_bytes(body, LARGEST).await;
    let malformed = bytes
        .as_ref()
        .map_or(true, |bytes| says_json(&head) && !bytes.is_empty() && serde_json::from_slice::<Value>(bytes).is_err());
    let bytes = bytes.unwrap_or_default();
    let req = take_apart(&head, &bytes, 1);
    shared.gate().kept.push(&req, bytes.len());
    let answer = shared.answer_sell(&req, malformed);
    let Some(reply) = answer else {
        return std::future::pending().await;
    };
    finish(&shared, &req, reply, &head).await
}

/// Whether the body is said to be JSON: any other is not read. The admin door asks for no such word.
fn says_json(head: &axum::http::request::Parts) -> bool {
    let kind = head.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.to_ascii_lowercase().contains("json") || head.uri.path().starts_with("/_sim")
}

fn take_apart(head: &axum::http::request::Parts, bytes: &Bytes, weight: usize) -> Req {
    // Some clients put parameters behind `.json&`; Zendesk takes the request and ignores them.
    let path = head.uri.path().split_once(".json&").map_or(head.uri.path(), |(path, _)| path);
    let path = path.strip_suffix(".json").unwrap_or(path).to_owned();
    let api = path.strip_prefix("/api/v2/").unwrap_or(&path);
    let parts = api.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let query = head.uri.query().unwrap_or_default();
    let mut query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let kind = head.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let body = if says_json(head) {
        serde_json::from_slice(bytes).unwrap_or_default()
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        url::form_urlencoded::parse(bytes).map(|(k, v)| (k.into_owned(), Value::from(v))).collect()
    } else {
        Value::Null
    };
    query.retain(|(name, _)| !name.is_empty());
    Req { method: head.method.to_string(), path, parts, query, headers: head.headers.clone(), body, weight }
}

fn respond(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert("content-type", HeaderValue::from_static(reply.kind));
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            // A list may have two links.
            response.headers_mut().append(name, value);
        }
    }
    response
}
