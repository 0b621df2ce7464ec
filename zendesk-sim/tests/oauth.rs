//! OAuth over HTTP: consent, codes, PKCE, rotation, expiry, revocation, clients and scopes.
mod common;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{Answer, World};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zendesk_sim::Settings;

const BACK: &str = "http://localhost:9090/oauth/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A world with a public client `app`.
async fn world() -> World {
    let world = World::start(Settings::default()).await;
    let client = json!({"client": {"name": "App", "identifier": "app", "kind": "public", "redirect_uri": [BACK]}});
    let made = world.post("/api/v2/oauth/clients", client).await;
    assert_eq!(made.status, 201, "{}", made.body);
    world
}

fn address(world: &World, client: &str, more: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse(&format!("{}/oauth/authorizations/new", world.sim.url)).expect("an address");
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", client)
        .append_pair("redirect_uri", BACK)
        .append_pair("scope", "read write")
        .append_pair("state", "s t&")
        .extend_pairs(more);
    url.into()
}

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))
}

/// What the browser is sent back with.
fn sent_back(location: &str) -> Value {
    assert!(location.starts_with(BACK), "{location}");
    let url = reqwest::Url::parse(location).expect("an address");
    url.query_pairs().map(|(key, value)| (key.into_owned(), Value::from(value))).collect()
}

/// A person's consent by the admin door.
async fn consent(world: &World, client: &str, more: &[(&str, &str)]) -> Value {
    let url = address(world, client, more);
    let answer = world.post("/_sim/consent", json!({"url": url})).await;
    sent_back(answer.body["location"].as_str().expect("a location"))
}

async fn exchange(world: &World, code: &Value, more: Value) -> Answer {
    let mut body = json!({"grant_type": "authorization_code", "client_id": "app", "code": code, "redirect_uri": BACK,
        "code_verifier": VERIFIER, "expires_in": 600, "refresh_token_expires_in": 604_800});
    for (key, value) in more.as_object().cloned().unwrap_or_default() {
        body[key] = value;
    }
    world.send(Method::POST, "/oauth/tokens", Some(body), None).await
}

async fn pair(world: &World) -> Value {
    let code = consent(world, "app", &[("code_challenge", &challenge()), ("code_challenge_method", "S256")]).await;
    let answer = exchange(world, &code["code"], json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

async fn status(world: &World, token: &Value) -> u16 {
    world.send(Method::GET, "/api/v2/oauth/tokens/current", None, token.as_str()).await.status
}

#[tokio::test]
async fn a_person_sees_the_page_and_allows_or_denies() {
    let world = world().await;
    let url = address(&world, "app", &[("code_challenge", &challenge()), ("code_challenge_method", "S256")]);
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let page = browser.get(&url).send().await.expect("an answer");
    assert_eq!(page.status(), 200);
    let page = page.text().await.expect("a page");
    assert!(page.contains("<h1>App</h1>") && page.contains("<li>write</li>") && page.contains("s t&amp;"), "{page}");
    for (decision, expected) in [("allow", "code"), ("deny", "error")] {
        let form = format!("{}&decision={decision}", url.split_once('?').expect("a query").1);
        let request = browser.post(format!("{}/oauth/authorizations", world.sim.url)).body(form);
        let answer =
            request.header("content-type", "application/x-www-form-urlencoded").send().await.expect("an answer");
        assert_eq!(answer.status(), 302);
        let back = sent_back(answer.headers()["location"].to_str().expect("text"));
        assert_eq!((back["state"].as_str(), back[expected].is_string()), (Some("s t&"), true), "{back}");
    }
}

#[tokio::test]
async fn wrong_requests_are_refused_where_they_should_be() {
    let world = world().await;
    let shown = async |from: &str, to: &str| {
        let url = address(&world, "app", &[]).replace(from, to);
        world.client.get(url).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(shown("client_id=app", "client_id=nobody").await, 400);
    assert_eq!(shown("callback", "elsewhere").await, 400);
    let told = async |client: &str, more: &[(&str, &str)]| consent(&world, client, more).await["error"].clone();
    assert_eq!(told("app", &[]).await, "invalid_request", "PKCE is mandatory for a public client");
    assert_eq!(
        told("app", &[("code_challenge", &challenge()), ("code_challenge_method", "plain")]).await,
        "invalid_request"
    );
    assert_eq!(told("deskbridge_acme", &[]).await, Value::Null, "and optional for a confidential one");
}

#[tokio::test]
async fn a_code_is_taken_once_in_time_and_by_whoever_began() {
    let world = world().await;
    let pkce = [("code_challenge", challenge()), ("code_challenge_method", "S256".to_string())];
    let pkce: Vec<(&str, &str)> = pkce.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let code = consent(&world, "app", &pkce).await["code"].clone();
    for wrong in [
        json!({"code_verifier": "wrong"}),
        json!({"code_verifier": null}),
        json!({"redirect_uri": "http://localhost:1/"}),
        json!({"client_id": "deskbridge_acme", "client_secret": world.sim.about["client_secret"]}),
        json!({"code": "nonsense"}),
    ] {
        let answer = exchange(&world, &code, wrong).await;
        assert_eq!((answer.status, &answer.body["error"]), (400, &json!("invalid_grant")));
    }
    let refused = exchange(&world, &code, json!({"client_id": "nobody"})).await;
    assert_eq!((refused.status, &refused.body["error"]), (401, &json!("invalid_client")));
    for range in [json!({"expires_in": 299}), json!({"expires_in": 172_801}), json!({"refresh_token_expires_in": 1})] {
        assert_eq!(exchange(&world, &code, range).await.body["error"], "invalid_request");
    }
    assert_eq!(exchange(&world, &code, json!({})).await.status, 200);
    assert_eq!(exchange(&world, &code, json!({})).await.status, 400, "a second time");
    let late = consent(&world, "app", &pkce).await["code"].clone();
    world.advance(120, 0).await;
    assert_eq!(exchange(&world, &late, json!({})).await.status, 400);
}

#[tokio::test]
async fn a_refresh_ends_the_pair_it_renews() {
    let world = world().await;
    let first = pair(&world).await;
    assert_eq!((&first["expires_in"], &first["refresh_token_expires_in"]), (&json!(600), &json!(604_800)));
    world.advance(601, 0).await;
    let late = world.send(Method::GET, "/api/v2/users/me", None, first["access_token"].as_str()).await;
    assert_eq!((late.status, &late.body["error"]), (401, &json!("invalid_token")));
    let renew = async |token: &Value| {
        let form =
            [("grant_type", "refresh_token"), ("client_id", "app"), ("refresh_token", token.as_str().expect("text"))];
        let body = reqwest::Url::parse_with_params("http://x/", form).expect("an address");
        let request = world.client.post(format!("{}/oauth/tokens", world.sim.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(body.query().unwrap_or_default().to_owned()).send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, serde_json::from_str::<Value>(&answer.text().await.expect("a body")).expect("JSON"))
    };
    let (_, second) = renew(&first["refresh_token"]).await;
    assert_eq!(second["expires_in"], Value::Null, "lifetimes are told to who asks for one");
    assert_eq!(status(&world, &second["access_token"]).await, 200);
    assert_eq!(renew(&first["refresh_token"]).await.1["error"], "invalid_grant");
    let (_, third) = renew(&second["refresh_token"]).await;
    assert_eq!(status(&world, &second["access_token"]).await, 401, "although its time had not come");
    let told = world.get("/_sim/tokens").await.body;
    assert_eq!((&told["refreshes"], &told["refused_refreshes"]), (&json!(2), &json!(1)));
    world.advance(2_592_000, 0).await;
    assert_eq!(renew(&third["refresh_token"]).await.0, 400, "thirty days by default");
}

#[tokio::test]
async fn tokens_are_records_that_can_be_taken_back() {
    let world = world().await;
    let pair = pair(&world).await;
    let all = world.get("/api/v2/oauth/tokens?all=true").await.body;
    let row = all["tokens"].as_array().expect("rows").last().expect("a row").clone();
    assert_eq!(row["token"].as_str().map(str::len), Some(10), "{row}");
    assert_eq!(row["refresh_token"].as_str().map(str::len), Some(10));
    assert_eq!(world.get(&format!("/api/v2/oauth/tokens/{}", row["id"])).await.body["token"]["id"], row["id"]);
    let by_client = world.get(&format!("/api/v2/oauth/tokens?client_id={}", row["client_id"])).await.body;
    assert_eq!(by_client["count"], 1);
    let gone = world.send(Method::DELETE, "/api/v2/oauth/tokens/current", None, pair["access_token"].as_str()).await;
    assert_eq!(gone.status, 204);
    assert_eq!(status(&world, &pair["access_token"]).await, 401);
    let refresh = json!({"grant_type": "refresh_token", "client_id": "app", "refresh_token": pair["refresh_token"]});
    assert_eq!(world.post("/oauth/tokens", refresh).await.status, 400, "with what renews it");
    let made = json!({"token": {"client_id": row["client_id"], "scopes": ["tickets:reed"]}});
    let made = world.post("/api/v2/oauth/tokens", made).await;
    assert_eq!((made.status, &made.body["token"]["expires_at"]), (201, &Value::Null));
    for path in ["/api/v2/users/me", "/api/v2/tickets", "/api/v2/oauth/tokens/current"] {
        let answer = world.send(Method::GET, path, None, made.body["token"]["token"].as_str()).await;
        assert_eq!(answer.status, 403, "a misspelt scope: {path}");
    }
}

#[tokio::test]
async fn clients_are_made_changed_and_deleted_by_admins() {
    let world = world().await;
    let all = world.get("/api/v2/oauth/clients").await.body;
    assert_eq!(all["clients"].as_array().map(Vec::len), Some(2));
    let path = format!("/api/v2/oauth/clients/{}", all["clients"][1]["id"]);
    let pair = pair(&world).await;
    let check = async |client: Value, expected: &str| {
        let answer = world.post("/api/v2/oauth/clients", json!({ "client": client })).await;
        assert_eq!(answer.status, 422);
        assert!(answer.body["details"][expected].is_array(), "{}", answer.body);
    };
    check(json!({"identifier": "x"}), "name").await;
    check(json!({"name": "x", "identifier": "app"}), "identifier").await;
    check(json!({"name": "x", "identifier": "x", "redirect_uri": ["http://x.example/"]}), "redirect_uri").await;
    check(json!({"name": "x", "identifier": "x", "kind": "secret"}), "kind").await;
    let changed = world.put(&path, json!({"client": {"name": "Other", "company": "Acme"}})).await.body;
    assert_eq!((&changed["client"]["name"], &changed["client"]["kind"]), (&json!("Other"), &json!("public")));
    let secret = world.put(&format!("{path}/generate_secret"), json!({})).await.body["client"]["secret"].clone();
    assert_eq!(secret.as_str().map(str::len), Some(64));
    assert_eq!(world.get(&path).await.body["client"]["secret"].as_str().map(str::len), Some(10));
    let grant = json!({"grant_type": "client_credentials", "client_id": "app", "client_secret": secret});
    assert_eq!(world.post("/oauth/tokens", grant).await.body["error"], "unauthorized_client");
    assert_eq!(world.send(Method::DELETE, &path, None, Some(&world.token)).await.status, 204);
    assert_eq!(status(&world, &pair["access_token"]).await, 401, "its tokens end with it");
    assert_eq!(world.get(&path).await.status, 404);
    let agent = world.post("/_sim/tokens", json!({"role": "agent"})).await.body["token"].clone();
    assert_eq!(world.send(Method::GET, "/api/v2/oauth/clients", None, agent.as_str()).await.status, 403);
    assert_eq!(world.get("/api/v2/oauth/global_clients").await.body["global_clients"], json!([]));
}
