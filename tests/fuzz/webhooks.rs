//! Webhooks: nothing is verified that was not signed so, and whatever was signed is decoded without harm.

use chrono::Duration;
use deskbridge::config::SecretText;
use deskbridge::zendesk::decode;
use deskbridge::zendesk::verify::{Recipient, SignatureHeaders, sign, verify};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::decoders::{context, now, settings};
use crate::hostile::{bytes, changed, changes, json as any_json};
use crate::{Outcome, fuzz, within};

const SECRET: &str = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==";
const AT: &str = "2027-01-15T08:00:00Z";

/// A delivery as it came over the wire.
#[derive(Debug, Clone)]
struct Delivery {
    signature: Vec<String>,
    timestamp: Vec<String>,
    body: Vec<u8>,
    secret: String,
}

impl Delivery {
    fn signed(body: Vec<u8>) -> Delivery {
        Delivery { signature: vec![sign(SECRET, AT, &body)], timestamp: vec![AT.into()], body, secret: SECRET.into() }
    }

    fn is_verified(&self) -> bool {
        let secrets = vec![SecretText::new(self.secret.as_str())];
        let recipient = Recipient { workspace_id: 1, source_id: 2, name: "acme".into(), secrets };
        // A header that came twice is none.
        let once = |values: &'_ [String]| if let [only] = values { Some(only.clone()) } else { None };
        let (signature, timestamp) = (once(&self.signature), once(&self.timestamp));
        let headers = SignatureHeaders {
            signature: signature.as_deref(),
            timestamp: timestamp.as_deref(),
            invocation_id: signature.as_deref(),
        };
        match verify(&recipient, headers, &self.body, now(), Duration::minutes(15)) {
            Ok(verified) => {
                let sane = |text: &str| text.len() <= 800 && !text.contains(char::is_control);
                assert!(sane(&verified.event_id) && !verified.event_id.is_empty(), "{:?}", verified.event_id);
                assert!(
                    verified.event_type.is_none_or(|kind| sane(&kind))
                        && verified.invocation_id.is_none_or(|id| sane(&id))
                );
                assert_eq!(verified.body, self.body, "the bytes are kept as they came");
                true
            }
            Err(_) => false,
        }
    }
}

/// What somebody on the way may do to a delivery.
#[derive(Debug, Clone)]
enum Tamper {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Append(Vec<u8>),
    Move(usize),
    OtherTime(String),
    Signature(String),
    FlipSignature(prop::sample::Index),
    DoubledSignature,
    DoubledTimestamp,
    OtherSecret(String),
}

fn tamper() -> impl Strategy<Value = Tamper> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (index(), 0..8_u8).prop_map(|(at, bit)| Tamper::Flip(at, bit)),
        index().prop_map(Tamper::Cut),
        vec(any::<u8>(), 1..20).prop_map(Tamper::Append),
        (1..AT.len()).prop_map(Tamper::Move),
        prop_oneof!["[0-9TZ:.+-]{0,30}", any::<String>()].prop_map(Tamper::OtherTime),
        prop_oneof!["[A-Za-z0-9+/=]{0,60}", any::<String>()].prop_map(Tamper::Signature),
        index().prop_map(Tamper::FlipSignature),
        Just(Tamper::DoubledSignature),
        Just(Tamper::DoubledTimestamp),
        any::<String>().prop_map(Tamper::OtherSecret),
    ]
}

/// The delivery, tampered with; false when that changed nothing.
fn tampered(delivery: &Delivery, tamper: &Tamper) -> (Delivery, bool) {
    let mut other = delivery.clone();
    match tamper {
        Tamper::Flip(at, bit) if !other.body.is_empty() => {
            let at = at.index(other.body.len());
            other.body[at] ^= 1 << bit;
        }
        Tamper::Cut(at) if !other.body.is_empty() => other.body.truncate(at.index(other.body.len())),
        Tamper::Flip(..) | Tamper::Cut(_) => {}
        Tamper::Append(more) => other.body.extend(more),
        Tamper::Move(cut) => {
            let (kept, moved) = AT.split_at(*cut);
            other.timestamp = vec![kept.into()];
            other.body.splice(0..0, moved.bytes());
        }
        Tamper::OtherTime(time) => other.timestamp = vec![time.clone()],
        Tamper::Signature(text) => other.signature = vec![text.clone()],
        Tamper::FlipSignature(at) => {
            let mut bytes = other.signature[0].clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1;
            other.signature = vec![String::from_utf8_lossy(&bytes).into_owned()];
        }
        Tamper::DoubledSignature => other.signature.push(other.signature[0].clone()),
        Tamper::DoubledTimestamp => other.timestamp.push(other.timestamp[0].clone()),
        Tamper::OtherSecret(secret) => other.secret.clone_from(secret),
    }
    let same = other.body == delivery.body
        && other.signature == delivery.signature
        && other.timestamp == delivery.timestamp
        && other.secret == delivery.secret;
    (other, !same)
}

#[test]
fn nothing_is_verified_that_was_not_signed_so() {
    let body = prop_oneof![bytes(), changes().prop_map(|changes| changed(&event(), &changes).into_bytes())];
    fuzz("webhooks: verification", &(body, vec(tamper(), 1..3)), |(body, tampers): (Vec<u8>, Vec<Tamper>)| {
        let signed = Delivery::signed(body);
        prop_assert!(signed.is_verified(), "what was signed is verified");
        for tamper in &tampers {
            let (other, differs) = tampered(&signed, tamper);
            prop_assert_eq!(other.is_verified(), !differs, "{:?}", tamper);
        }
        Ok(())
    });
}

/// A webhook as Zendesk sends them.
fn event() -> Value {
    json!({"account_id": 22129848, "detail": {"actor_id": "42", "assignee_id": "9", "brand_id": "3", "created_at": "2025-01-08T10:00:00Z",
        "custom_status": "4", "description": "on fire", "external_id": null, "form_id": "0", "group_id": "5", "id": "155",
        "is_public": true, "organization_id": "6", "priority": "LOW", "requester_id": "7", "status": "OPEN", "subject": "Printer",
        "submitter_id": "7", "tags": ["b", "a"], "type": "TASK", "updated_at": "2025-01-08T10:12:07Z", "via": {"channel": "web_service"},
        "email": "jane@shop.test", "role": "end-user", "name": "Jane"},
        "event": {"current": "CLOSED", "previous": "OPEN", "comment": {"id": "9", "body": "Hello", "is_public": true,
        "author": {"id": "7"}}, "user": {"id": "8"}, "target_ticket_id": "9", "tags_added": ["c"], "tags_removed": ["a"],
        "field": {"id": "360"}, "meta": {"version": "1.0"}},
        "id": "cbe4028c", "subject": "zen:ticket:155", "time": "2025-01-08T10:12:07.672717030Z", "type": "zen:event-type:ticket.comment_added",
        "zendesk_event_version": "2022-11-06"})
}

fn decoded(body: &[u8]) -> Outcome {
    let settings = settings();
    within(body.len(), 4, 1 << 16, || decode::envelope(body))?;
    let event = within(body.len(), 64, 4 << 20, || decode::webhook(body, &context(&settings)))?;
    if let Ok(event) = event {
        let shown = format!("{:?} {:?} {:?}", event.batch.people, event.batch.tickets, event.batch.activities);
        prop_assert!(!shown.contains('\0'), "NUL, which Postgres does not take");
    }
    Ok(())
}

#[test]
fn events_of_every_type_and_shape() {
    let kind = prop::sample::select(decode::SUBSCRIBED.to_vec());
    fuzz("webhooks: decoding", &(kind, changes(), any_json(), bytes()), |(kind, changes, any, bytes)| {
        let mut event = event();
        event["type"] = json!(format!("zen:event-type:{kind}"));
        event["subject"] = json!(format!("zen:{}:155", kind.split('.').next().unwrap_or_default()));
        decoded(changed(&event, &changes).as_bytes())?;
        decoded(any.as_bytes())?;
        decoded(&bytes)
    });
}
