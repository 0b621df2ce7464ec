//! Signed webhooks about tickets and users that exist, of the shape and size that Zendesk sends.

use anyhow::Result;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use deskbridge::zendesk::verify::sign;
use serde_json::{Value, json};
use sqlx::{PgPool, Row};
use std::net::SocketAddr;

/// A ticket that webhooks are about.
#[derive(Clone)]
pub struct Ticket {
    id: i64,
    /// The person who asked for it.
    pub person: i64,
    requester: String,
    subject: String,
    created_at: DateTime<Utc>,
}

/// Tickets of the source that have a known requester.
pub async fn tickets(db: &PgPool, source: i64) -> Result<Vec<Ticket>> {
    let rows = sqlx::query(
        "SELECT id, person_id, requester_record_id, coalesce(subject, '') AS subject, created_at FROM ticket
         WHERE source_id = $1 AND person_id IS NOT NULL AND created_at IS NOT NULL AND deleted_at IS NULL ORDER BY id",
    )
    .bind(source)
    .fetch_all(db)
    .await?;
    let ticket = |row: &sqlx::postgres::PgRow| Ticket {
        id: row.get("id"),
        person: row.get("person_id"),
        requester: row.get("requester_record_id"),
        subject: row.get("subject"),
        created_at: row.get("created_at"),
    };
    Ok(rows.iter().map(ticket).collect())
}

/// Whole requests, signed, each with an id of its own. Half are comments, the rest changes of status, changes of custom
/// fields (for which the ticket is read again) and of users (who are).
pub fn requests(tickets: &[Ticket], to: SocketAddr, secret: &str, burst: usize, count: usize) -> Vec<Vec<u8>> {
    let now = Utc::now();
    let stamp = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let request = |number: usize| {
        let ticket = &tickets[number % tickets.len()];
        // Each burst and each round over the tickets happens at a second of its own, so that every event is news.
        let round = number / tickets.len() + burst * 1000;
        let at = now - Duration::days(2) + Duration::seconds(round as i64);
        whole(&event(ticket, burst, number, at), (burst, number), to, secret, &stamp)
    };
    (0..count).map(request).collect()
}

/// A ticket each of so many people, none of whom is among `others`; another turn, other people.
pub fn one_each(tickets: &[Ticket], others: &[i64], turn: usize, count: usize) -> Vec<Ticket> {
    let mut met: std::collections::HashSet<i64> = others.iter().copied().collect();
    let half = tickets.len() / 2;
    let tickets = if turn == 0 { &tickets[..half] } else { &tickets[half..] };
    tickets.iter().filter(|ticket| met.insert(ticket.person)).take(count).cloned().collect()
}

/// A comment on each ticket, made just now.
pub fn comments(tickets: &[Ticket], to: SocketAddr, secret: &str, burst: usize) -> Vec<Vec<u8>> {
    let (now, all) = (Utc::now(), tickets.iter().enumerate());
    let stamp = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let request = |(n, ticket)| whole(&event(ticket, burst, n * 10, now), (burst, n * 10), to, secret, &stamp);
    all.map(request).collect()
}

fn whole(event: &Value, (burst, number): (usize, usize), to: SocketAddr, secret: &str, stamp: &str) -> Vec<u8> {
    let body = pretty(event);
    let signature = sign(secret, stamp, body.as_bytes());
    let head = format!(
        "POST /webhooks/zendesk/intake HTTP/1.1\r\nhost: {to}\r\nuser-agent: Zendesk Webhook\r\n\
         content-type: application/json; charset=utf-8\r\nx-zendesk-account-id: 1\r\nx-zendesk-webhook-id: 01HANAHAFTBVF1NA2AVFK4W763\r\n\
         x-zendesk-webhook-invocation-id: 01J{burst:04}{number:019}\r\nx-zendesk-webhook-signature: {signature}\r\n\
         x-zendesk-webhook-signature-timestamp: {stamp}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

fn event(ticket: &Ticket, burst: usize, number: usize, at: DateTime<Utc>) -> Value {
    let time = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let id = format!("{burst:08x}-0000-4000-8000-{number:012x}");
    let (kind, event) = match number % 10 {
        0..5 => {
            let comment = json!({"id": format!("{}{number:08}", burst + 1), "is_public": true,
                "author": {"id": ticket.requester, "is_staff": false, "name": "A customer"},
                "body": "Thank you, that is what I was looking for. One more thing: could you tell me when it will be there?"});
            ("ticket.comment_added", json!({"comment": comment}))
        }
        5..8 => ("ticket.status_changed", json!({"current": "OPEN", "previous": "PENDING"})),
        8 => (
            "ticket.custom_field_changed",
            json!({"current": "a", "previous": "b", "custom_field": {"id": "77", "title": "Product", "type": "text"}}),
        ),
        _ => return user_event(ticket, &id, &time),
    };
    let made = ticket.created_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    json!({"account_id": 1, "id": id, "type": format!("zen:event-type:{kind}"), "subject": format!("zen:ticket:{}", ticket.id),
        "time": time, "zendesk_event_version": "2022-11-06", "event": event,
        "detail": {"actor_id": ticket.requester, "assignee_id": null, "brand_id": "12", "created_at": made,
            "custom_status": "4", "description": "I have ordered two weeks ago and nothing has come.", "external_id": null,
            "form_id": "9", "group_id": "8", "id": ticket.id.to_string(), "is_public": true, "organization_id": null,
            "priority": "NORMAL", "requester_id": ticket.requester, "status": "OPEN", "subject": ticket.subject,
            "submitter_id": ticket.requester, "tags": ["order", "late"], "type": "QUESTION", "updated_at": time,
            "via": {"channel": "email"}}})
}

fn user_event(ticket: &Ticket, id: &str, time: &str) -> Value {
    json!({"account_id": 1, "id": id, "type": "zen:event-type:user.notes_changed", "time": time,
        "subject": format!("zen:user:{}", ticket.requester), "zendesk_event_version": "2022-06-20",
        "event": {"current": "called twice about the same order; prefers mail", "previous": "called twice about the same order"},
        "detail": {"created_at": "2023-09-18T23:29:35Z", "default_group_id": "0", "email": "", "external_id": "",
            "id": ticket.requester, "organization_id": "0", "role": "end-user", "updated_at": time}})
}

/// Indented by three blanks, as Zendesk does.
fn pretty(body: &Value) -> String {
    use serde::Serialize;
    let mut bytes = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"   ");
    body.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, indent)).expect("a value is JSON");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}
