//! The command line in a process of its own: it tells the address, and takes the answer itself or has a daemon take it.

use super::Desk;
use deskbridge::model::source::Credentials;
use deskbridge::pipeline::context::Context;
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// A command that signs in by browser, and the address it tells.
struct Running {
    child: Child,
    url: String,
}

fn command(desk: &Desk, port: u16, arguments: &[&str]) -> Command {
    let settings = &desk.ctx.settings;
    let mut command = Command::new(env!("CARGO_BIN_EXE_deskbridge"));
    command
        .args(arguments)
        .env("DESKBRIDGE__SECRET_KEY", settings.secret_key.expose())
        .env("DESKBRIDGE__DATABASE__URL", settings.database.url.expose())
        .env("DESKBRIDGE__ZENDESK__ALLOWED_BASE_URLS", &desk.world.sim.url)
        .env("DESKBRIDGE__PUBLIC__BASE_URL", &desk.world.public_url)
        .env("DESKBRIDGE__ADMIN__LISTEN", format!("127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// What a command that waits for nobody says.
async fn said(desk: &Desk, port: u16, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(desk, port, arguments).output().await.expect("the binary runs");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn run(desk: &Desk, port: u16, arguments: &[&str]) -> Running {
    let mut child = command(desk, port, arguments).spawn().expect("the binary runs");
    let mut told = BufReader::new(child.stderr.take().expect("stderr")).lines();
    let mut all = String::new();
    while let Some(line) = told.next_line().await.expect("a line") {
        if line.trim().starts_with("http") && line.contains("/oauth/authorizations/new") {
            // Read on, so that the command never waits for us.
            tokio::spawn(async move { while let Ok(Some(_)) = told.next_line().await {} });
            return Running { child, url: line.trim().to_string() };
        }
        all.push_str(&line);
    }
    panic!("no address was told: {all}");
}

impl Running {
    /// Its exit code and what it said on stdout.
    async fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.child.stdout.take().expect("stdout").read_to_string(&mut said).await.expect("text");
        (self.child.wait().await.expect("an end").code(), said)
    }
}

/// A free port, whose callback stands in the OAuth client `here`.
async fn port(desk: &Desk) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let back = format!("http://localhost:{port}/oauth/callback");
    let client = json!({"name": "Deskbridge", "identifier": "here", "kind": "public", "redirect_uri": [back]});
    desk.rest("clients", json!({ "client": client })).await;
    port
}

async fn daemon(desk: &Desk, port: u16) -> deskbridge::app::Daemon {
    let mut settings = (*desk.ctx.settings).clone();
    settings.admin.base_url = None;
    settings.admin.listen = format!("127.0.0.1:{port}").parse().expect("an address");
    settings.public.listen = "127.0.0.1:0".parse().expect("an address");
    let ctx: Context = deskbridge::app::context(settings, desk.world.clock.clone()).expect("a context");
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
    deskbridge::app::start(ctx, metrics, true).await.expect("a daemon")
}

#[tokio::test]
async fn the_command_takes_the_answer_itself_or_a_daemon_does() {
    let desk = Desk::new().await;
    let port = port(&desk).await;
    let sim = desk.world.sim.url.clone();
    let connect = ["source", "connect", &sim, "--name", "acme", "--client-id", "here", "--public", "--json"];
    let denied = run(&desk, port, &connect).await;
    let (status, page, _) = desk.visit(&denied.url, "admin", "deny").await;
    assert!(status == 400 && page.contains("chose not to allow"), "{page}");
    assert_eq!(denied.end().await, (Some(1), String::new()));
    assert_eq!(desk.world.count("source").await, 0);
    let allowed = run(&desk, port, &connect).await;
    let (status, page, _) = desk.visit(&allowed.url, "admin", "allow").await;
    assert_eq!(status, 200, "{page}");
    let (code, said) = allowed.end().await;
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &said["name"], &said["role"]), (Some(0), &json!("acme"), &json!("admin")), "{said}");
    // The daemon has the port now, and the next answer.
    let daemon = daemon(&desk, port).await;
    let again = run(&desk, port, &["source", "reconnect", "acme", "--again"]).await;
    let (status, page, _) = desk.visit(&again.url, "admin", "allow").await;
    assert_eq!(status, 200, "{page}");
    let (code, said) = again.end().await;
    assert!(code == Some(0) && said.contains("found as it should be"), "{said}");
    assert_eq!(desk.live().await, 1, "the former tokens are revoked");
    assert!(matches!(desk.ctx.credentials(&desk.world.source().await), Ok(Credentials::Browser { .. })));
    let (status, metrics) = desk.open(&format!("http://127.0.0.1:{port}/health/ready")).await;
    assert_eq!((status, metrics.as_str()), (200, "ready\n"));
    assert!(daemon.stop().await);
}

#[tokio::test]
async fn everywhere_it_is_told_that_a_source_needs_somebody() {
    let desk = Desk::connected().await;
    let port = port(&desk).await;
    let daemon = daemon(&desk, port).await;
    desk.world.sim.post("tokens", json!({"revoke": "all"})).await;
    desk.world.advance(44 * 3600, 0).await;
    desk.world.run_jobs().await;
    for arguments in [&["check", "acme"][..], &["source", "show", "acme"], &["source", "list"]] {
        let (_, told) = said(&desk, port, arguments).await;
        assert!(told.contains("needs reconnect") && told.contains("revoked in Zendesk"), "{arguments:?}: {told}");
    }
    let (code, told) = said(&desk, port, &["check", "acme", "--json"]).await;
    assert!(code == Some(1) && told.contains("deskbridge source reconnect acme --again"), "{told}");
    let page = async |path: &str| desk.open(&format!("http://127.0.0.1:{port}{path}")).await;
    assert_eq!(page("/health/ready").await, (200, "ready\nsource acme needs reconnect\n".into()));
    assert!(page("/health/detail").await.1.contains("sign-in"));
    assert_eq!(page("/metrics").await.0, 200);
    assert!(daemon.stop().await);
}
