//! `POST /api/v2/webhooks/test`: one delivery now, and what came back.
use crate::deliver;
use crate::http::{Reply, Req, auth};
use crate::server::Shared;
use crate::world::hooks::Webhook;
use crate::world::user::Role;
use serde_json::{Value, json};

/// The secret that signs tests of webhooks that are not there yet.
const TEST_SECRET: &str = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==";

/// Sends a test and answers with the response.
pub async fn answer(shared: &Shared, req: &Req) -> Reply {
    let (endpoint, headers, body) = match prepare(shared, req) {
        Ok(ready) => ready,
        Err(reply) => return reply,
    };
    let response = match deliver::post(&shared.client, &endpoint, &headers, body).await {
        Ok(response) => response,
        Err(e) => {
            return Reply::json(
                400,
                &json!({"errors": [{"code": "RequestFailed", "title": "Request failed", "detail": e.to_string()}]}),
            );
        }
    };
    let status = response.status().as_u16();
    let pair = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| json!({"key": name.as_str(), "value": value.to_str().unwrap_or_default()});
    let headers: Vec<_> = response.headers().iter().map(pair).collect();
    let payload = response.text().await.unwrap_or_default();
    Reply::ok(&json!({"response": {"headers": headers, "status_code": status, "payload": payload}}))
}

type Ready = (String, Vec<(String, String)>, String);

fn prepare(shared: &Shared, req: &Req) -> Result<Ready, Reply> {
    let now = shared.clock.now();
    let gate = shared.gate();
    let caller = auth::authenticate(&gate.world, req, now, shared.clock.now_ms())?;
    if caller.user_id == 0 {
        return Err(auth::unauthenticated());
    }
    if caller.role != Role::Admin {
        return Err(Reply::forbidden());
    }
    let known = req.q("webhook_id").and_then(|id| gate.world.hooks.all.get(id)).cloned();
    let given = &req.body["request"];
    let endpoint = given["endpoint"].as_str().map(str::to_owned).or_else(|| known.as_ref().map(|h| h.endpoint.clone()));
    let Some(endpoint) = endpoint else { return Err(Reply::not_found()) };
    let hook = known.unwrap_or_else(|| unmade(given));
    let body = match &given["payload"] {
        Value::String(text) => text.clone(),
        Value::Null => example(gate.world.account_id, now),
        other => other.to_string(),
    };
    let headers = deliver::headers(&hook, gate.world.account_id, "01TEST00000000000000000000", now, &body);
    Ok((endpoint, headers, body))
}

fn unmade(given: &Value) -> Webhook {
    Webhook {
        id: "01TEST00000000000000000001".into(),
        name: "test".into(),
        description: None,
        active: true,
        subscriptions: Vec::new(),
        endpoint: String::new(),
        method: "POST".into(),
        format: "json".into(),
        authentication: Some(given["authentication"].clone()).filter(|value| !value.is_null()),
        custom_headers: std::collections::BTreeMap::new(),
        secret: TEST_SECRET.into(),
        created_at: String::new(),
        created_by: String::new(),
        updated: None,
        invocations: std::collections::VecDeque::new(),
        breaker: crate::deliver::breaker::Breaker::default(),
    }
}

fn example(account_id: i64, now: crate::time::Stamp) -> String {
    json!({"account_id": account_id, "detail": {"created_at": now, "default_group_id": "0",
        "email": "test@example.com", "external_id": "", "id": "1", "organization_id": "0", "role": "end-user",
        "updated_at": now}, "event": {}, "id": "00000000-0000-4000-8000-000000000000", "subject": "zen:user:1",
        "time": now, "type": "zen:event-type:user.created", "zendesk_event_version": "2022-06-20"})
    .to_string()
}
