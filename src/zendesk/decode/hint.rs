//! What the `detail` of a webhook says of its record: a snapshot from about that time, good until the record itself is
//! read.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::context::DecodeContext;
use super::json::{members, parts};
use super::lenient::Lenient;
use super::organization::blank as blank_organization;
use super::ticket::{blank as blank_ticket, channel, lower, scrub};
use super::user::{CUSTOMER, blank as blank_person, email, identify};
use crate::model::field::{Given, SystemField};
use crate::model::organization::OrganizationRecord;
use crate::model::person::{IdentityKind, PersonRecord, RecordStatus};
use crate::model::ticket::TicketRecord;

parts! {
    /// The detail of a user's webhook. Empty is `""`, no organization is `"0"` (recorded).
    User {
        role "role", email "email", external_id "external_id", organization_id "organization_id", created_at "created_at",
        updated_at "updated_at",
    }
    left "id"
}

parts! {
    /// The detail of an organization's webhook.
    Organization { name "name", external_id "external_id", created_at "created_at", updated_at "updated_at", }
    left "id"
}

parts! {
    /// The detail of a ticket's webhook: ids are texts, enums in upper case (recorded).
    Ticket {
        requester "requester_id", submitter "submitter_id", assignee "assignee_id", organization "organization_id",
        subject "subject", description "description", status "status", priority "priority", kind "type", via "via",
        group "group_id", brand "brand_id", form "form_id", custom_status "custom_status", external_id "external_id",
        tags "tags", is_public "is_public", created_at "created_at", updated_at "updated_at",
    }
    left "id"
}

/// A user with address, external id and role alone. None without a role: it would be unknown whether it is a customer
/// (R36).
pub(super) fn person(
    id: &str,
    detail: &RawValue,
    status: Option<RecordStatus>,
    at: DateTime<Utc>,
    ctx: &DecodeContext<'_>,
) -> Option<PersonRecord> {
    let parts = User::read(detail.get())?;
    let mut lenient = Lenient::default();
    let role = lenient.text("role", parts.role).filled()?;
    let by_role = if role == CUSTOMER { RecordStatus::Active } else { RecordStatus::Agent };
    let status = match status {
        Some(status) if status.is_gone() || by_role.is_customer() => status,
        _ => by_role,
    };
    let mut record = blank_person(id.to_owned(), status, role);
    record.complete = false;
    record.created_at = lenient.time("created_at", parts.created_at).value();
    record.updated_at = Some(lenient.time("updated_at", parts.updated_at).value().unwrap_or(at));
    if status.is_customer() {
        if let Some(id) = lenient.text("external_id", parts.external_id).filled() {
            identify(&mut record, IdentityKind::ExternalId, &id.trim().to_lowercase(), false, ctx);
            record.system[SystemField::ExternalId] = Given::Value(id);
        }
        let said = lenient.text("email", parts.email);
        email(&mut record, said, false, ctx, &mut lenient);
        // An empty address may only mean that the snapshot has none yet.
        if record.system[SystemField::Email] == Given::Empty {
            record.system[SystemField::Email] = Given::Absent;
        }
        record.organization_record_id = lenient.id("organization_id", parts.organization_id).value();
    }
    record.problems = lenient.problems;
    Some(record)
}

/// An organization with name and external id alone.
pub(super) fn organization(
    id: &str,
    detail: &RawValue,
    at: DateTime<Utc>,
    deleted: bool,
) -> Option<OrganizationRecord> {
    let parts = Organization::read(detail.get())?;
    let mut lenient = Lenient::default();
    let mut record = blank_organization(id.to_owned());
    record.complete = false;
    record.name = lenient.text("name", parts.name).filled();
    record.external_id = lenient.text("external_id", parts.external_id).filled();
    record.created_at = lenient.time("created_at", parts.created_at).value();
    record.updated_at = Some(lenient.time("updated_at", parts.updated_at).value().unwrap_or(at));
    record.deleted_at = deleted.then_some(at);
    record.problems = lenient.problems;
    Some(record)
}

/// A ticket without its custom fields.
pub(super) fn ticket(id: i64, detail: &RawValue, at: DateTime<Utc>) -> Option<TicketRecord> {
    let parts = Ticket::read(detail.get())?;
    let mut lenient = Lenient::default();
    let mut record = blank_ticket(id);
    record.complete = false;
    record.requester = lenient.id("requester_id", parts.requester).value();
    record.submitter = lenient.id("submitter_id", parts.submitter).value();
    record.assignee = lenient.id("assignee_id", parts.assignee).value();
    record.organization = lenient.id("organization_id", parts.organization).value();
    record.group = lenient.id("group_id", parts.group).value();
    record.brand = lenient.id("brand_id", parts.brand).value();
    record.form = lenient.id("form_id", parts.form).value();
    record.custom_status = lenient.id("custom_status", parts.custom_status).value();
    record.subject = lenient.text("subject", parts.subject).filled();
    record.description = lenient.text("description", parts.description).filled();
    record.status = lower(lenient.text("status", parts.status).filled());
    record.priority = lower(lenient.text("priority", parts.priority).filled());
    record.kind = lower(lenient.text("type", parts.kind).filled());
    record.channel = channel(parts.via, &mut lenient);
    record.external_id = lenient.text("external_id", parts.external_id).filled();
    record.tags = lenient.words("tags", parts.tags).value().unwrap_or_default();
    record.is_public = lenient.truth("is_public", parts.is_public).value();
    record.created_at = lenient.time("created_at", parts.created_at).value();
    record.updated_at = lenient.time("updated_at", parts.updated_at).value();
    record.version_at = record.updated_at.unwrap_or(at);
    record.problems = lenient.problems;
    if record.status.as_deref() == Some("scrubbed") {
        record.status = Some("deleted".to_owned());
        scrub(&mut record);
    }
    Some(record)
}
