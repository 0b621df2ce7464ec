//! `POST /api/v2/webhooks/test`: one delivery now, and what came back.
use crate::api::webhooks;
use crate::deliver::letter::{self, Letter, Outcome};
use crate::http::{Reply, Req, auth};
use crate::server::Shared;
use crate::world::user::Role;
use serde_json::{Value, json};
use std::sync::Arc;

/// The secret that signs tests of webhooks that are not there yet.
const TEST_SECRET: &str = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==";

/// Sends a test and answers with the response.
pub async fn answer(shared: &Shared, req: &Req) -> Reply {
    let letter = match prepare(shared, req) {
        Ok(letter) => letter,
        Err(reply) => return reply,
    };
    let outcome = letter::send(&shared.client, &letter).await;
    let status = outcome.status().unwrap_or(504);
    let mut response = letter::exchange(&letter, &outcome)["response"].take();
    if matches!(outcome, Outcome::Unreachable(_)) {
        response["headers"] = json!([{"key": "Content-Type", "value": "text/plain; charset=utf-8"}]);
    }
    response["status_code"] = status.into();
    Reply::ok(&json!({ "response": response }))
}

/// The letter: that of the webhook, with what `request` says in its place.
fn prepare(shared: &Shared, req: &Req) -> Result<Letter, Reply> {
    let now = shared.clock.now();
    let gate = shared.gate();
    let caller = auth::authenticate(&gate.world, req, now, shared.clock.now_ms())?;
    if caller.user_id == 0 {
        return Err(auth::unauthenticated());
    }
    if caller.role != Role::Admin || auth::missing(&caller, req).is_some() {
        return Err(Reply::forbidden());
    }
    let given = &req.body["request"];
    let hook = match req.q("webhook_id") {
        Some(id) => {
            let mut hook = gate.world.hooks.all.get(id).cloned().ok_or_else(webhooks::missing)?;
            webhooks::apply(&mut hook, given);
            hook
        }
        None => webhooks::imagined(given, TEST_SECRET),
    };
    if url::Url::parse(&hook.endpoint).is_err() {
        return Err(webhooks::wrong(&["endpoint is not a valid URL".to_owned()]));
    }
    let body: Arc<str> = match &given["payload"] {
        Value::String(text) => text.as_str().into(),
        Value::Null => example(gate.world.account_id, now).into(),
        other => other.to_string().into(),
    };
    let world = &gate.world;
    Ok(letter::letter(&hook, world.account_id, "01TEST00000000000000000000", now, &body, world.deadline()))
}

fn example(account_id: i64, now: crate::time::Stamp) -> String {
    json!({"account_id": account_id, "detail": {"created_at": now, "default_group_id": "0",
        "email": "test@example.com", "external_id": "", "id": "1", "organization_id": "0", "role": "end-user",
        "updated_at": now}, "event": {}, "id": "00000000-0000-4000-8000-000000000000", "subject": "zen:user:1",
        "time": now, "type": "zen:event-type:user.created", "zendesk_event_version": "2022-06-20"})
    .to_string()
}
