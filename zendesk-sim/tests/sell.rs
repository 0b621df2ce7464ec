//! Sell over HTTP: contacts on an address of their own.
mod common;

use common::World;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use zendesk_sim::Settings;

struct Sell {
    world: World,
    url: String,
    token: String,
}

impl Sell {
    async fn start(mut sell: Value) -> Self {
        if sell["per_second"].is_null() {
            sell["per_second"] = 1_000.into();
        }
        let settings = Settings {
            sell_listen: Some("127.0.0.1:0".into()),
            sell: Some(serde_json::from_value(sell).expect("settings")),
            ..Settings::default()
        };
        let world = World::start(settings).await;
        let about = &world.sim.about["sell"];
        let text = |key: &str| about[key].as_str().expect("told on the first line").to_owned();
        Self { url: text("listening"), token: text("token"), world }
    }

    async fn raw(
        &self,
        method: Method,
        path: &str,
        agent: Option<&str>,
        token: Option<&str>,
        body: &Value,
    ) -> Response {
        let mut request = self.world.client.request(method, format!("{}{path}", self.url));
        if let Some(agent) = agent {
            request = request.header("user-agent", agent);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        request.send().await.expect("an answer")
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let answer = self.raw(method, path, Some("test"), Some(&self.token), &body).await;
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(Method::GET, path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }
}

fn data(data: Value) -> Value {
    json!({ "data": data })
}

#[tokio::test]
async fn a_contact_is_made_read_changed_and_deleted() {
    let sell = Sell::start(json!({"contacts": 0})).await;
    let given = json!({"first_name": "Ana", "last_name": "Lee", "email": "ana@x.example", "tags": ["a", "b"],
        "address": {"city": "Oslo"}, "custom_fields": {"Tier": "gold", "Audience": "realized"}});
    let (status, made) = sell.send(Method::POST, "/v2/contacts", data(given)).await;
    assert_eq!((status, &made["meta"]), (200, &json!({"version": 1, "type": "contact"})));
    let contact = &made["data"];
    assert_eq!((&contact["name"], &contact["is_organization"]), (&json!("Ana Lee"), &json!(false)));
    assert_eq!((&contact["customer_status"], &contact["address"]["city"]), (&json!("none"), &json!("Oslo")));
    let path = format!("/v2/contacts/{}", contact["id"]);
    assert_eq!(sell.get(&path).await["data"], *contact);

    let change = json!({"tags": ["c"], "custom_fields": {"Tier": "silver"}, "last_name": "Li"});
    let (status, changed) = sell.send(Method::PUT, &path, data(change)).await;
    assert_eq!((status, &changed["data"]["tags"]), (200, &json!(["c"])), "tags replace");
    assert_eq!(changed["data"]["custom_fields"], json!({"Tier": "silver", "Audience": "realized"}), "by name");
    assert_eq!(changed["data"]["name"], "Ana Li");
    let truth = sell.world.get("/_sim/state/contacts").await.body;
    assert_eq!(truth["rows"], json!([changed["data"]]));

    assert_eq!(sell.send(Method::DELETE, &path, Value::Null).await.0, 204);
    assert_eq!(sell.send(Method::GET, &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn an_upsert_makes_changes_or_refuses() {
    let sell = Sell::start(json!({"contacts": 0})).await;
    let path = "/v2/contacts/upsert?email=ana@x.example";
    let given = data(json!({"last_name": "Lee", "email": "ana@x.example"}));
    let (_, first) = sell.send(Method::POST, path, given.clone()).await;
    let (_, again) = sell.send(Method::POST, path, data(json!({"custom_fields": {"Tier": "gold"}}))).await;
    assert_eq!((&again["data"]["id"], &again["data"]["custom_fields"]["Tier"]), (&first["data"]["id"], &json!("gold")));
    let by_field = "/v2/contacts/upsert?custom_fields%5BTier%5D=gold&last_name=lee";
    let (_, same) = sell.send(Method::POST, by_field, data(json!({"title": "CEO"}))).await;
    assert_eq!((&same["data"]["id"], &same["data"]["title"]), (&first["data"]["id"], &json!("CEO")));

    sell.send(Method::POST, "/v2/contacts", given.clone()).await;
    let (status, several) = sell.send(Method::POST, path, given.clone()).await;
    assert_eq!((status, &several["errors"][0]["error"]["field"]), (422, &json!("email")));
    assert_eq!(sell.send(Method::POST, "/v2/contacts/upsert", given).await.0, 400, "without a filter");
}

#[tokio::test]
async fn lists_are_paged_sorted_and_filtered() {
    let sell = Sell::start(json!({"contacts": 60})).await;
    let first = sell.get("/v2/contacts").await;
    assert_eq!((first["items"].as_array().map(Vec::len), &first["meta"]["count"]), (Some(25), &json!(25)));
    assert_eq!((&first["meta"]["type"], &first["items"][0]["meta"]["type"]), (&json!("collection"), &json!("contact")));
    assert_eq!(first["meta"]["links"]["next_page"], "https://api.getbase.com/v2/contacts?page=2&per_page=25");
    let last = sell.get("/v2/contacts?page=3&per_page=25").await;
    assert_eq!((last["items"].as_array().map(Vec::len), last["meta"]["links"].get("next_page")), (Some(10), None));
    let sorted = sell.get("/v2/contacts?per_page=100&sort_by=updated_at:desc").await;
    let times: Vec<_> =
        sorted["items"].as_array().expect("items").iter().map(|i| i["data"]["updated_at"].as_str()).collect();
    assert!(times.len() == 60 && times.is_sorted_by(|a, b| a >= b));
    let one = &first["items"][7]["data"];
    let email = one["email"].as_str().expect("an address");
    let found = sell.get(&format!("/v2/contacts?email={}", email.to_uppercase().replace('+', "%2B"))).await;
    assert_eq!(found["items"][0]["data"], *one);
    let ids = format!("/v2/contacts?ids={},5,{}", one["id"], first["items"][1]["data"]["id"]);
    assert_eq!(sell.get(&ids).await["meta"]["count"], 2);
    for bad in ["per_page=101", "page=0", "sort_by=shoe_size"] {
        let (status, body) = sell.send(Method::GET, &format!("/v2/contacts?{bad}"), Value::Null).await;
        assert_eq!((status, &body["errors"][0]["error"]["code"]), (400, &json!("invalid_param")), "{bad}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_in_the_envelope() {
    let sell = Sell::start(json!({"contacts": 0})).await;
    let check = async |given: Value, field: &str, code: &str| {
        let (status, body) = sell.send(Method::POST, "/v2/contacts", data(given)).await;
        let error = &body["errors"][0]["error"];
        assert_eq!((status, &error["field"], &error["code"]), (422, &json!(field), &json!(code)), "{body}");
        assert_eq!((&error["resource"], &body["errors"][0]["meta"]["type"]), (&json!("contact"), &json!("error")));
        assert_eq!(body["meta"]["http_status"], "422 Unprocessable Entity");
    };
    check(json!({"first_name": "Ana"}), "last_name", "blank").await;
    check(json!({"is_organization": true}), "name", "blank").await;
    check(json!({"last_name": "L", "email": "nobody"}), "email", "invalid").await;
    check(json!({"last_name": 7}), "last_name", "invalid_type").await;
    check(json!({"last_name": "L", "tags": "a"}), "tags", "invalid_type").await;
    check(json!({"last_name": "L", "customer_status": "gone"}), "customer_status", "invalid_type").await;
    check(json!({"last_name": "L", "custom_fields": {"Shoe": 7}}), "custom_fields[Shoe]", "invalid").await;
    check(json!({"last_name": "L", "contact_id": 5}), "contact_id", "invalid").await;

    let (status, body) = sell.send(Method::POST, "/v2/contacts", json!({"last_name": "L"})).await;
    assert_eq!((status, &body["errors"][0]["error"]["code"]), (400, &json!("incorrect_payload")));
    let refused = sell.raw(Method::GET, "/v2/contacts/5", Some("test"), Some(&sell.token), &Value::Null).await;
    let logref = refused.headers()["x-request-id"].to_str().expect("text").to_owned();
    let body: Value = refused.json().await.expect("JSON");
    assert_eq!((&body["meta"]["logref"], &body["meta"]["type"]), (&json!(logref), &json!("errors_collection")));
    assert_eq!(body["errors"][0]["error"]["code"], "not_found");
}

#[tokio::test]
async fn who_asks_and_with_what() {
    let sell = Sell::start(json!({"contacts": 0})).await;
    let check = async |agent: Option<&str>, token: Option<&str>, status: u16, code: &str| {
        let answer = sell.raw(Method::GET, "/v2/contacts", agent, token, &Value::Null).await;
        assert_eq!(answer.status().as_u16(), status);
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body["errors"][0]["error"]["code"], code);
    };
    check(None, Some(&sell.token), 400, "invalid_user_agent").await;
    check(Some("test"), None, 401, "unauthorized").await;
    check(Some("test"), Some("nonsense"), 401, "unauthorized").await;
}

#[tokio::test]
async fn a_token_by_code_ends_and_is_renewed_once() {
    let sell = Sell::start(json!({"contacts": 0})).await;
    let about = sell.world.sim.about["sell"].clone();
    let id = about["client_id"].as_str().expect("an id");
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let to = "https%3A%2F%2Fme.example%2Fback";
    let ask =
        format!("{}/oauth2/authorize?response_type=code&client_id={id}&redirect_uri={to}&scope=read&state=s", sell.url);
    let back =
        client.get(ask).send().await.expect("an answer").headers()["location"].to_str().expect("text").to_owned();
    let code = back.split(['=', '&']).nth(1).expect("a code").to_owned();
    assert!(back.starts_with("https://me.example/back?code=") && back.ends_with("&state=s"), "{back}");
    let token = async |mut body: Value| {
        (body["client_id"], body["client_secret"]) = (about["client_id"].clone(), about["client_secret"].clone());
        let answer = sell.raw(Method::POST, "/oauth2/token", None, None, &body).await;
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    let grant = json!({"grant_type": "authorization_code", "code": code, "redirect_uri": "https://me.example/back"});
    let (status, granted) = token(grant.clone()).await;
    assert_eq!((status, &granted["expires_in"], &granted["scope"]), (200, &json!(3600), &json!("read")));
    assert_eq!(token(grant).await.1["error"], "invalid_grant", "a code is good for one token");
    let access = granted["access_token"].as_str().expect("a token");
    let read = async |access: &str| {
        sell.raw(Method::GET, "/v2/contacts", Some("test"), Some(access), &Value::Null).await.status().as_u16()
    };
    assert_eq!(read(access).await, 200);
    let written = sell.raw(Method::POST, "/v2/contacts", Some("test"), Some(access), &data(json!({}))).await;
    assert_eq!(written.status().as_u16(), 403, "insufficient scope");
    sell.world.advance(3_600, 0).await;
    assert_eq!(read(access).await, 401);
    let renew = json!({"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]});
    let (_, renewed) = token(renew.clone()).await;
    let access = renewed["access_token"].as_str().expect("a token");
    assert_eq!((read(access).await, token(renew).await.0), (200, 400));
    sell.raw(Method::POST, "/oauth2/revoke", None, None, &json!({ "token": access })).await;
    assert_eq!(read(access).await, 401);
}

#[tokio::test]
async fn an_hour_has_its_limit() {
    let sell = Sell::start(json!({"contacts": 0, "hourly": 3})).await;
    sell.world.post("/_sim/limits", json!({"on": true})).await;
    for status in [200, 200, 200, 429] {
        let answer = sell.raw(Method::GET, "/v2/contacts", Some("test"), Some(&sell.token), &Value::Null).await;
        assert_eq!(answer.status().as_u16(), status);
        assert!(!answer.headers().keys().any(|name| name.as_str().contains("rate")), "no header tells");
    }
    sell.world.advance(3_600, 0).await;
    assert_eq!(sell.get("/v2/contacts").await["meta"]["count"], 0);
}

#[tokio::test]
async fn a_second_has_its_limit_unless_limits_are_off() {
    let sell = Sell::start(json!({"contacts": 0, "per_second": 2})).await;
    sell.world.post("/_sim/limits", json!({"on": true})).await;
    let ask = async || sell.send(Method::GET, "/v2/contacts", Value::Null).await.0;
    assert_eq!([ask().await, ask().await, ask().await], [200, 200, 429]);
    sell.world.advance(1, 0).await;
    assert_eq!(ask().await, 200);
    sell.world.post("/_sim/limits", json!({"on": false})).await;
    assert_eq!([ask().await, ask().await, ask().await], [200, 200, 200]);
}

#[tokio::test]
async fn custom_fields_are_told_and_their_types_hold() {
    let fields = json!(["Audience", {"name": "Plan", "type": "list", "choices": ["free", "paid"]},
        {"name": "Since", "type": "date"}, {"name": "Seats", "type": "number"}]);
    let sell = Sell::start(json!({"contacts": 0, "custom_fields": fields})).await;
    let told = sell.get("/v2/contact/custom_fields").await;
    let plan = &told["items"][1]["data"];
    assert_eq!(
        (&plan["name"], &plan["type"], &plan["choices"][1]["name"]),
        (&json!("Plan"), &json!("list"), &json!("paid"))
    );
    assert_eq!((&told["items"][0]["data"]["type"], &plan["for_contact"]), (&json!("string"), &json!(true)));
    let check = async |field: &str, value: Value, status: u16| {
        let given = data(json!({"last_name": "Lee", "custom_fields": {field: value}}));
        let (found, body) = sell.send(Method::POST, "/v2/contacts", given).await;
        assert_eq!(found, status, "{field}: {body}");
    };
    check("Audience", json!("realized"), 200).await;
    check("Audience", json!(7), 422).await;
    check("Plan", json!("paid"), 200).await;
    check("Plan", Value::Null, 200).await;
    check("Plan", json!("gold"), 422).await;
    check("Since", json!("2026-06-15"), 200).await;
    check("Since", json!("soon"), 422).await;
    check("Seats", json!("2.50"), 200).await;
    check("Seats", json!("many"), 422).await;
}

#[tokio::test]
async fn faults_strike_sell_and_requests_are_counted() {
    let sell = Sell::start(json!({"contacts": 0})).await;
    let faults = async |faults: Value| sell.world.post("/_sim/faults", faults).await;
    let upsert = "/v2/contacts/upsert?email=ana@x.example";
    let given = data(json!({"last_name": "Lee", "email": "ana@x.example"}));
    let check = async |set: Value, status: u16, code: &str| {
        faults(set).await;
        let (found, body) = sell.send(Method::POST, upsert, given.clone()).await;
        assert_eq!((found, body["errors"][0]["error"]["code"].as_str()), (status, Some(code)), "{body}");
    };
    check(json!({"http_429_share": 1.0}), 429, "rate_limit_exceeded").await;
    check(json!({"http_503_share": 1.0}), 503, "simulated_fault").await;
    check(json!({"forbidden_paths": ["/v2/contacts"]}), 403, "simulated_fault").await;
    faults(json!({"html_paths": ["/v2/contacts"]})).await;
    assert_eq!(sell.send(Method::GET, "/v2/contacts", Value::Null).await, (200, Value::Null));
    faults(json!({"bad_answers": [{"path": "/v2/contacts", "status": 200, "body": "{"}]})).await;
    assert_eq!(sell.send(Method::GET, "/v2/contacts", Value::Null).await, (200, Value::Null));

    faults(json!({"lost_answer_paths": ["/v2/contacts/upsert"]})).await;
    let request = sell.raw(Method::POST, upsert, Some("test"), Some(&sell.token), &given);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(300), request).await.is_err(), "no answer comes");
    faults(json!({})).await;
    assert_eq!(sell.get("/v2/contacts").await["meta"]["count"], 1, "it was carried out all the same");
    let counted = sell.world.get("/_sim/requests").await.body;
    assert_eq!((&counted["by_endpoint"]["POST /v2/contacts/upsert"], &counted["throttled"]), (&json!(4), &json!(1)));
}
