//! OAuth whole: signing in by browser against the consent page, renewal by one of several daemons, crashes in its midst,
//! revocation, and the way from an API token.

mod command;
mod crashes;

use crate::support::{Setup, World};
use deskbridge::db;
use deskbridge::model::grant::Grant;
use deskbridge::model::source::{Credentials, SourceSettings, SourceState};
use deskbridge::pipeline::context::Context;
use deskbridge::pipeline::grant::{self, Standing};
use deskbridge::pipeline::lifecycle::{self, LifecycleError};
use deskbridge::pipeline::sign_in::{self, Begun, Purpose, Wish};
use deskbridge::zendesk::oauth::App;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A world whose daemon receives answers of browsers, with a public OAuth client registered in the simulated account.
pub struct Desk {
    pub world: World,
    pub ctx: Context,
    /// Does not follow redirects by itself.
    pub browser: reqwest::Client,
    callback: String,
}

impl Desk {
    pub async fn new() -> Desk {
        Desk::of(World::new(Setup { users: 8, tickets: 4, ..Setup::default() }).await).await
    }

    pub async fn of(world: World) -> Desk {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let mut settings = (*world.ctx.settings).clone();
        settings.admin.base_url = Some(base.clone());
        let ctx = deskbridge::app::context(settings, world.clock.clone()).expect("a context");
        let router = deskbridge::http::callback(ctx.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        let desk = Desk { world, ctx, browser, callback: format!("{base}/oauth/callback") };
        let client =
            json!({"name": "Deskbridge", "identifier": "app", "kind": "public", "redirect_uri": [desk.callback]});
        let made = desk.rest("clients", json!({ "client": client })).await;
        assert_eq!(made["client"]["kind"], "public", "{made}");
        desk
    }

    /// Asks the simulated account for something below `/api/v2/oauth`, as its admin.
    async fn rest(&self, path: &str, body: Value) -> Value {
        let Credentials::ApiToken { email, token } = self.world.sim.credentials() else { unreachable!() };
        let url = format!("{}/api/v2/oauth/{path}", self.world.sim.url);
        let request = self.browser.post(url).basic_auth(format!("{email}/token"), Some(token)).json(&body);
        request.send().await.expect("an answer").json().await.expect("JSON")
    }

    pub fn app() -> App {
        App { client_id: "app".into(), client_secret: None }
    }

    fn purpose(&self) -> Purpose {
        Purpose::Connect {
            account: self.world.sim.url.clone(),
            name: Some("acme".into()),
            settings: Box::new(SourceSettings::default()),
            title: Some("Acme support".into()),
        }
    }

    pub async fn begin(&self, purpose: Purpose) -> Begun {
        let wish = Wish { workspace: 1, app: Desk::app(), purpose, manual_webhook: None };
        sign_in::begin(&self.ctx, wish).await.expect("begun")
    }

    /// Opens the consent page, answers its form as `role`, and follows the redirect. Answers status and page, and where
    /// the browser was sent.
    pub async fn visit(&self, url: &str, role: &str, decision: &str) -> (u16, String, String) {
        let page = self.browser.get(url).send().await.expect("the consent page");
        let page = page.text().await.expect("a page");
        let mut form: Vec<(String, String)> = Vec::new();
        for input in page.split("<input ").skip(1) {
            let part = |name: &str| {
                let (_, rest) = input.split_once(&format!("{name}=\"")).expect("an attribute");
                rest.split('"').next().unwrap_or_default().replace("&amp;", "&").replace("&quot;", "\"")
            };
            form.push((part("name"), part("value")));
        }
        let options: Vec<&str> = page.split("<option value=\"").skip(1).collect();
        let person =
            options.iter().find(|option| option.contains(&format!("({role})"))).expect("somebody of that role");
        form.push(("user_id".into(), person.split('"').next().unwrap_or_default().into()));
        form.push(("decision".into(), decision.into()));
        let action = format!("{}/oauth/authorizations", self.world.sim.url);
        let answer = self.browser.post(action).form(&form).send().await.expect("an answer");
        let location = answer.headers()["location"].to_str().expect("text").to_string();
        let (status, page) = self.open(&location).await;
        (status, page, location)
    }

    pub async fn open(&self, url: &str) -> (u16, String) {
        let page = self.browser.get(url).send().await.expect("our page");
        (page.status().as_u16(), page.text().await.expect("a page"))
    }

    /// A world whose source `acme` was connected by browser.
    pub async fn connected() -> Desk {
        let desk = Desk::new().await;
        let begun = desk.begin(desk.purpose()).await;
        let (status, page, _) = desk.visit(&begun.url, "admin", "allow").await;
        assert_eq!(status, 200, "{page}");
        desk
    }

    pub async fn grant(&self) -> Grant {
        grant::of(&self.ctx, &self.world.source().await).await.expect("the database answers").expect("a grant")
    }

    pub fn daemon(&self) -> Context {
        deskbridge::app::context((*self.ctx.settings).clone(), self.world.clock.clone()).expect("another daemon")
    }

    /// One request by a daemon.
    pub async fn ask(&self, ctx: &Context) -> Result<(), String> {
        let client = ctx.client(&self.world.source().await).expect("a client");
        client.get("/api/v2/users/me").await.map(|_| ()).map_err(|error| error.to_string())
    }

    pub async fn tokens(&self) -> Value {
        self.world.sim.get("tokens").await
    }

    pub async fn refreshes(&self) -> i64 {
        self.tokens().await["refreshes"].as_i64().expect("a number")
    }

    /// How many live tokens the public client has.
    pub async fn live(&self) -> usize {
        let tokens = self.tokens().await;
        tokens["rows"].as_array().expect("rows").iter().filter(|row| row["refresh_token"].is_string()).count()
    }
}

#[tokio::test]
async fn an_admin_signs_in_by_browser_and_the_source_is_connected() {
    let desk = Desk::new().await;
    let begun = desk.begin(desk.purpose()).await;
    assert_eq!(sign_in::outcome(&desk.ctx, &begun.handle).await.expect("read"), None);
    let (status, page, location) = desk.visit(&begun.url, "admin", "allow").await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("as source &quot;acme&quot;"), "{page}");
    let outcome = sign_in::outcome(&desk.ctx, &begun.handle).await.expect("read").expect("known");
    assert_eq!((&outcome["ok"], &outcome["report"]["role"]), (&json!(true), &json!("admin")), "{outcome}");
    let source = desk.world.source().await;
    assert_eq!((source.state, source.title.as_str()), (SourceState::Syncing, "Acme support"));
    desk.world.sync().await;
    assert!(desk.world.count("person").await > 0);
    let grant = desk.grant().await;
    let hours = |at: chrono::DateTime<chrono::Utc>| (at - desk.world.clock.now()).num_hours();
    assert_eq!(
        (hours(grant.access_expires_at), hours(grant.refresh_expires_at)),
        (48, 90 * 24),
        "the longest there are"
    );
    let (status, page) = desk.open(&location).await;
    assert_eq!(status, 400);
    assert!(page.contains("answered already"), "{page}");
    let clear: i64 = desk.world.count("source_grant g WHERE encode(tokens, 'escape') LIKE '%token%'").await;
    assert_eq!(
        clear + desk.world.count("sign_in WHERE sealed IS NOT NULL").await,
        0,
        "nothing secret is left in clear"
    );
}

#[tokio::test]
async fn what_is_not_allowed_leaves_nothing_behind() {
    let desk = Desk::new().await;
    let nothing = async |why: &str| {
        assert_eq!(desk.world.count("source").await + desk.world.count("source_grant").await, 0, "{why}");
        assert_eq!(desk.live().await, 0, "{why}: the tokens are revoked");
    };
    let refused = async |role: &str, decision: &str, change: (&str, &str), expected: &str| {
        let begun = desk.begin(desk.purpose()).await;
        let (status, page, _) = desk.visit(&begun.url.replace(change.0, change.1), role, decision).await;
        assert!(status == 400 && page.contains(expected), "{expected}: {status} {page}");
        let outcome = sign_in::outcome(&desk.ctx, &begun.handle).await.expect("read").expect("known");
        assert!(outcome["error"].as_str().expect("words").contains(expected), "{outcome}");
        nothing(expected).await;
    };
    refused("admin", "deny", ("", ""), "chose not to allow").await;
    refused("agent", "allow", ("", ""), "role agent").await;
    refused("admin", "allow", ("webhooks%3Awrite", "tickets%3Awrite"), "webhooks:write is missing").await;
    // A challenge that is not ours: the code was got by somebody else.
    let challenge = deskbridge::zendesk::oauth::challenge("another");
    let begun = desk.begin(desk.purpose()).await;
    let ours = begun.url.split("code_challenge=").nth(1).and_then(|rest| rest.split('&').next()).expect("a challenge");
    let (status, page, _) = desk.visit(&begun.url.replace(ours, &challenge), "admin", "allow").await;
    assert!(status == 400 && page.contains("invalid_grant"), "{page}");
    nothing("another's code").await;
}

#[tokio::test]
async fn answers_that_belong_to_nothing_are_refused() {
    let desk = Desk::new().await;
    for query in ["", "?state=", "?state=nonsense&code=x", &format!("?state={}", "x".repeat(5000)), "?state=a&state=b"]
    {
        let (status, page) = desk.open(&format!("{}{query}", desk.callback)).await;
        assert!(status == 400 && page.contains("Not connected"), "{query}: {status} {page}");
    }
    let begun = desk.begin(desk.purpose()).await;
    desk.world.advance(601, 0).await;
    let (status, page, _) = desk.visit(&begun.url, "admin", "allow").await;
    assert!(status == 400 && page.contains("10 minutes"), "{page}");
    assert_eq!(desk.world.count("source").await, 0);
    let evil = format!("{}?state=x&error=%3Cscript%3E", desk.callback);
    assert!(!desk.open(&evil).await.1.contains("<script>"));
}

#[tokio::test]
async fn a_stolen_code_is_worth_nothing_without_the_verifier() {
    let desk = Desk::new().await;
    let begun = desk.begin(desk.purpose()).await;
    let consent = desk.world.sim.post("consent", json!({"url": begun.url})).await;
    let location = reqwest::Url::parse(consent["location"].as_str().expect("a location")).expect("an address");
    let code = location.query_pairs().find(|(key, _)| key == "code").expect("a code").1.into_owned();
    let body =
        json!({"grant_type": "authorization_code", "client_id": "app", "code": code, "redirect_uri": desk.callback});
    for verifier in [Value::Null, json!("guessed")] {
        let mut body = body.clone();
        body["code_verifier"] = verifier;
        let answer = desk.browser.post(format!("{}/oauth/tokens", desk.world.sim.url)).json(&body).send().await;
        assert_eq!(answer.expect("an answer").status(), 400);
    }
    assert_eq!(desk.open(location.as_str()).await.0, 200, "ours still works");
}

#[tokio::test]
async fn any_daemon_of_the_deployment_receives_the_answer() {
    let desk = Desk::new().await;
    let other = desk.daemon();
    let wish = Wish { workspace: 1, app: Desk::app(), purpose: desk.purpose(), manual_webhook: None };
    let begun = sign_in::begin(&other, wish).await.expect("begun by a command, elsewhere");
    assert_eq!(desk.visit(&begun.url, "admin", "allow").await.0, 200);
    assert!(sign_in::outcome(&other, &begun.handle).await.expect("read").is_some());
}

#[tokio::test]
async fn one_of_several_daemons_renews_and_nobody_fails() {
    let desk = Desk::connected().await;
    let daemons = [desk.daemon(), desk.daemon(), desk.daemon()];
    for ctx in &daemons {
        desk.ask(ctx).await.expect("all know the first pair");
    }
    let first = desk.grant().await;
    desk.world.advance(43 * 3600, 0).await;
    desk.ask(&desk.ctx).await.expect("works");
    assert_eq!(desk.refreshes().await, 0, "not before nine tenths of its life");
    desk.world.advance(720, 0).await;
    let asked = daemons.iter().flat_map(|ctx| (0..5).map(|_| desk.ask(ctx)));
    for answer in futures_util::future::join_all(asked).await {
        answer.expect("no request fails");
    }
    assert_eq!(desk.refreshes().await, 1, "exactly one renewed");
    assert_eq!(desk.tokens().await["refused_refreshes"], 0);
    assert_eq!(desk.grant().await.version, first.version + 1);
    // A daemon that was away the whole time has the first pair in memory: its next request finds the new one.
    for ctx in &daemons {
        desk.ask(ctx).await.expect("picked up");
    }
    assert_eq!(desk.refreshes().await, 1);
    assert_eq!(desk.live().await, 1);
}

#[tokio::test]
async fn a_token_that_zendesk_ends_early_is_renewed_once() {
    let desk = Desk::connected().await;
    desk.ask(&desk.ctx).await.expect("works");
    desk.world.advance(120, 0).await;
    let access = desk.tokens().await["rows"].as_array().expect("rows").last().expect("a token")["token"].clone();
    // Ended alone, its refresh token still good: what an expiry before its time looks like.
    desk.world.sim.post("tokens", json!({"expire": access})).await;
    desk.ask(&desk.ctx).await.expect("renewed and asked again");
    assert_eq!(desk.refreshes().await, 1);
    desk.world.sim.post("tokens", json!({"revoke": "all"})).await;
    let error = desk.ask(&desk.ctx).await.expect_err("gone");
    assert!(error.contains("does not accept"), "what was just given is not renewed again: {error}");
    desk.world.advance(120, 0).await;
    let error = desk.ask(&desk.ctx).await.expect_err("gone");
    assert!(error.contains("needs reconnect") && error.contains("revoked in Zendesk"), "{error}");
}

#[tokio::test]
async fn sources_that_ask_nothing_are_renewed_too() {
    let desk = Desk::connected().await;
    desk.world.run_jobs().await;
    lifecycle::set_paused(&desk.ctx, &desk.world.source().await, true).await.expect("paused");
    for round in 1..=3 {
        desk.world.advance(44 * 3600, 0).await;
        desk.world.run_jobs().await;
        assert_eq!(desk.refreshes().await, round);
    }
}

#[tokio::test]
async fn a_refresh_token_that_cannot_be_renewed_is_told_of_in_time() {
    let desk = Desk::connected().await;
    lifecycle::set_paused(&desk.ctx, &desk.world.source().await, true).await.expect("paused");
    let standing =
        async || grant::standing(&desk.grant().await, grant::warning_time(&desk.ctx), desk.world.clock.now());
    let warned = "SELECT count(*) FROM source_grant WHERE warned_at IS NOT NULL";
    desk.world.sim.post("faults", json!({"missing_paths": ["/oauth/tokens"]})).await;
    desk.world.advance(44 * 3600, 0).await;
    desk.world.run_jobs().await;
    assert!(matches!(standing().await, Standing::Failing(_)));
    assert_eq!(desk.world.value::<i64>(warned).await, 0);
    desk.world.advance(82 * 86_400, 0).await;
    desk.world.run_jobs().await;
    assert!(matches!(standing().await, Standing::EndsSoon(..)));
    assert_eq!(desk.world.value::<i64>(warned).await, 1);
    let when = "SELECT warned_at::text FROM source_grant";
    let first: String = desk.world.value(when).await;
    desk.world.advance(7200, 0).await;
    desk.world.run_jobs().await;
    assert_eq!(desk.world.value::<String>(when).await, first, "once a day");
    desk.world.advance(86_400, 0).await;
    desk.world.run_jobs().await;
    assert_ne!(desk.world.value::<String>(when).await, first);
    desk.world.sim.post("faults", json!({})).await;
    desk.world.advance(7200, 0).await;
    desk.world.run_jobs().await;
    assert_eq!(standing().await, Standing::Good);
}

#[tokio::test]
async fn leaving_takes_the_tokens_back() {
    let desk = Desk::connected().await;
    desk.world.sim.post("faults", json!({"forbidden_paths": ["/oauth/tokens/current"]})).await;
    assert_eq!(lifecycle::disconnect(&desk.ctx, &desk.world.source().await).await.expect("disconnected"), None);
    assert_eq!((desk.live().await, desk.world.count("source_grant").await), (1, 1), "kept, to be tried again");
    desk.world.sim.post("faults", json!({})).await;
    lifecycle::set_state(&desk.ctx, &desk.world.source().await, SourceState::Archived).await.expect("archived");
    lifecycle::set_state(&desk.ctx, &desk.world.source().await, SourceState::Deleted).await.expect("deleted");
    assert_eq!((desk.live().await, desk.world.count("source_grant").await), (0, 0));
}

#[tokio::test]
async fn a_new_sign_in_takes_the_former_tokens_back() {
    let desk = Desk::connected().await;
    let former = desk.grant().await;
    let begun = desk.begin(Purpose::Reconnect { name: "acme".into(), write: false }).await;
    assert_eq!(desk.visit(&begun.url, "admin", "allow").await.0, 200);
    assert_eq!(desk.live().await, 1);
    assert_eq!(desk.grant().await.version, former.version + 1);
    desk.ask(&desk.ctx).await.expect("works");
    lifecycle::disconnect(&desk.ctx, &desk.world.source().await).await.expect("disconnected");
    assert_eq!((desk.live().await, desk.world.count("source_grant").await), (0, 0));
}

#[tokio::test]
async fn an_api_token_becomes_oauth_and_all_else_stays() {
    let desk = Desk::of(World::synced(Setup { users: 8, tickets: 4, ..Setup::default() }).await).await;
    let kept = async || {
        let source = desk.world.source().await;
        let cursors: Value =
            desk.world.value("SELECT jsonb_agg(cursor ORDER BY stream) FROM checkpoint WHERE cursor IS NOT NULL").await;
        (source.id, source.webhook_id.clone(), cursors, desk.world.count("person").await)
    };
    let before = kept().await;
    // Denied: the API token goes on.
    let begun = desk.begin(Purpose::Migrate { name: "acme".into(), write: false }).await;
    assert_eq!(desk.visit(&begun.url, "admin", "deny").await.0, 400);
    assert!(matches!(desk.ctx.credentials(&desk.world.source().await), Ok(Credentials::ApiToken { .. })));
    let begun = desk.begin(Purpose::Migrate { name: "acme".into(), write: false }).await;
    let (status, page, _) = desk.visit(&begun.url, "admin", "allow").await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(kept().await, before);
    assert!(matches!(desk.ctx.credentials(&desk.world.source().await), Ok(Credentials::Browser { .. })));
    desk.world.sim.post("tokens", json!({"revoke": "api"})).await;
    desk.world.settle().await;
    assert_eq!(desk.world.count("checkpoint WHERE error IS NOT NULL").await, 0, "nothing needs the API token");
    let again = lifecycle::migrate(&desk.ctx, desk.world.source().await, desk.world.sim.credentials()).await;
    assert!(matches!(again, Err(LifecycleError::NoApiToken(_))), "{again:?}");
}

#[tokio::test]
async fn an_api_token_becomes_client_credentials_of_the_same_account_only() {
    let world = World::synced(Setup { users: 8, tickets: 4, ..Setup::default() }).await;
    let other = World::new(Setup { users: 5, tickets: 1, seed: 7, ..Setup::default() }).await;
    let mut settings = (*world.ctx.settings).clone();
    settings.zendesk.allowed_base_urls.push(other.sim.url.clone());
    let ctx = deskbridge::app::context(settings, world.clock.clone()).expect("a context");
    let mut source = world.source().await;
    // An address that another account has by now.
    source.base_url = Some(other.sim.url.clone());
    let refused = lifecycle::migrate(&ctx, source, other.sim.client_credentials()).await;
    assert!(matches!(refused, Err(LifecycleError::OtherAccount(_))), "{refused:?}");
    assert!(matches!(ctx.credentials(&world.source().await), Ok(Credentials::ApiToken { .. })));
    let moved = lifecycle::migrate(&world.ctx, world.source().await, world.sim.client_credentials()).await;
    assert_eq!(moved.expect("moved").repaired.map(|faults| faults.len()), Some(0), "the webhook was found as it was");
    world.sim.post("tokens", json!({"revoke": "api"})).await;
    world.settle().await;
    assert_eq!(world.count("checkpoint WHERE error IS NOT NULL").await, 0);
}

#[tokio::test]
async fn tokens_are_sealed_again_under_a_new_key() {
    let desk = Desk::connected().await;
    let mut settings = (*desk.ctx.settings).clone();
    let former = std::mem::replace(
        &mut settings.secret_key,
        deskbridge::config::SecretText::new("YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY="),
    );
    settings.previous_secret_keys = vec![former];
    let ctx = deskbridge::app::context(settings.clone(), desk.world.clock.clone()).expect("a context");
    assert_eq!(lifecycle::reseal(&ctx).await.expect("resealed"), 1);
    settings.previous_secret_keys.clear();
    let ctx = deskbridge::app::context(settings, desk.world.clock.clone()).expect("a context");
    desk.ask(&ctx).await.expect("opens with the new key alone");
    let mut db = ctx.pool.acquire().await.expect("a connection");
    assert_eq!(db::grant::all(&mut db).await.expect("read").len(), 1);
}
