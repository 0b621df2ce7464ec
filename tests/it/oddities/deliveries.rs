//! Webhooks as they are delivered: retries, ids, times.

use super::{decoding, recordings};
use chrono::{DateTime, Duration, Utc};
use deskbridge::model::raw_event::Verified;
use deskbridge::zendesk::decode;
use deskbridge::zendesk::verify::{Recipient, Rejected, SignatureHeaders, sign, verify};
use serde_json::{Value, json};

const SECRET: &str = "bWFkZS11cC1mb3ItdGVzdHM=";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).expect("a time")
}

fn delivered(secret: &str, signature: &str, timestamp: &str, body: &[u8]) -> Result<Verified, Rejected> {
    let recipient =
        Recipient { workspace_id: 1, source_id: 1, name: "acme".into(), secrets: vec![secret.to_owned().into()] };
    let headers = SignatureHeaders { signature: Some(signature), timestamp: Some(timestamp), invocation_id: None };
    verify(&recipient, headers, body, now(), Duration::minutes(5))
}

fn event(id: &str, time: &str) -> Vec<u8> {
    json!({"id": id, "type": "zen:event-type:user.created", "subject": "zen:user:7", "account_id": 1, "time": time,
        "detail": {"id": "7", "role": "end-user", "updated_at": "2026-01-01T00:00:00Z"}, "event": {}})
    .to_string()
    .into_bytes()
}

/// Made-up bodies and the recorded ones.
fn bodies(made: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let recorded =
        recordings().into_iter().flat_map(|recordings| &recordings.deliveries).map(|(_, _, body)| body.clone());
    made.into_iter().chain(recorded).collect()
}

fn told(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

#[test]
fn a_retry_has_the_same_id_and_a_time_of_its_own() {
    for body in bodies(vec![event("e-1", "2026-01-01T00:00:00Z")]) {
        let [first, second] = ["2026-01-01T00:00:00Z", "2026-01-01T00:04:00Z"].map(|at| {
            let taken = delivered(SECRET, &sign(SECRET, at, &body), at, &body).expect("signed by us");
            assert!(!taken.late, "its own signature's time counts");
            taken.event_id
        });
        assert_eq!(first, second);
        // A retry's time does not fit the first signature.
        let stale = delivered(SECRET, &sign(SECRET, "2026-01-01T00:00:00Z", &body), "2026-01-01T00:04:00Z", &body);
        assert_eq!(stale.expect_err("not signed"), Rejected::WrongSignature);
    }
}

#[test]
fn a_published_signature_is_ours_too() {
    for (file, meta, body) in recordings().into_iter().flat_map(|recordings| &recordings.deliveries) {
        let Some(secret) = meta["signing_secret"].as_str() else { continue };
        let headers = &meta["request"]["headers"];
        let header = |name: &str| headers[name].as_str().unwrap_or_default();
        let (signature, at) = (header("x-zendesk-webhook-signature"), header("x-zendesk-webhook-signature-timestamp"));
        assert_eq!(sign(secret, at, body), signature, "{file}");
        // 1234 is no time: right as a signature, and never sent by Zendesk.
        assert_eq!(delivered(secret, signature, at, body).err(), Some(Rejected::NoSignature), "{file}");
    }
}

#[test]
fn an_events_id_is_a_uuid_or_a_ulid() {
    let made = ["6b9bbadf-5725-4e92-bebe-7b71011bf5f1", "01HANAHAFTBVF1NA2AVFK4W763"];
    let made = made.iter().map(|id| event(id, "2026-01-01T00:00:00Z")).collect();
    for body in bodies(made) {
        let at = "2026-01-01T00:00:00Z";
        let taken = delivered(SECRET, &sign(SECRET, at, &body), at, &body).expect("signed by us");
        match told(&body)["id"].as_str() {
            Some(id) => assert_eq!(taken.event_id, id),
            // What a trigger sends has none: the bytes stand for it.
            None => assert!(taken.event_id.starts_with("sha256:")),
        }
    }
}

#[test]
fn a_time_has_no_three_or_nine_digits_after_the_point() {
    let made = ["2026-01-01T00:00:05Z", "2026-01-01T00:00:05.123Z", "2026-01-01T00:00:05.123456789Z"];
    let made = made.iter().map(|time| event("e-1", time)).collect();
    for body in bodies(made) {
        let told = told(&body);
        let Some(time) = told["time"].as_str() else { continue };
        let event = decoding(|ctx| decode::webhook(&body, ctx)).expect("a webhook");
        if event.known {
            assert_eq!(event.at.to_rfc3339()[..19], time[..19], "to the second, not rounded up");
        }
    }
}
