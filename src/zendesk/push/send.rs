//! Making a call: one request, and what its answer means.

use super::super::client::{Client, TOO_MANY_JOBS};
use super::super::decode::{self, JobRow, JobStatus};
use super::super::error::{ApiError, Kind};
use super::super::written::{NotDone, Written};
use super::body;
use super::call::{Call, Item, Refusal, Taken};
use super::sell;
use serde_json::Value;
use serde_json::value::RawValue;

/// Makes a call, with exactly one request (one more where a token had to be replaced, of which nothing came). Never waits for a
/// budget: then it is [`Refusal::Api`] with the wait. At most [`MAX_ITEMS`](super::MAX_ITEMS) items, one for a single call.
pub async fn send(client: &Client, call: Call, items: &[Item]) -> Result<Taken, Refusal> {
    let request = request(call, items)?;
    let endpoint = format!("{} {}", request.method, request.path.split('?').next().unwrap_or_default());
    match client.write(request.method, &request.path, request.body.as_ref()).await {
        Ok(written) if call.is_bulk() => job(&written).map(Taken::Job).ok_or_else(|| unread(endpoint, "job_status")),
        Ok(written) if call == Call::SellUpsert => {
            let row = items.first().and_then(|item| sell::row(&written, item));
            row.map(|row| Taken::Rows(vec![row])).ok_or_else(|| unread(endpoint, "contact"))
        }
        Ok(written) => {
            let (wrapper, row) = row(&written, call);
            row.map(|row| Taken::Rows(vec![row])).ok_or_else(|| unread(endpoint, wrapper))
        }
        Err(refused) => Err(refusal(call, refused)),
    }
}

fn request(call: Call, items: &[Item]) -> Result<body::Request, Refusal> {
    match call {
        Call::SellUpsert => sell::request(items),
        _ => body::request(call, items),
    }
}

/// The request of a call as it goes out: its line, such as `PUT /api/v2/users/update_many`, and its body. For who wants to see it.
pub fn written(call: Call, items: &[Item]) -> Result<(String, Option<Value>), Refusal> {
    request(call, items).map(|request| (format!("{} {}", request.method, request.path), request.body))
}

fn job(written: &Written) -> Option<JobStatus> {
    let text = std::str::from_utf8(&written.body).ok()?;
    decode::job_status(serde_json::from_str::<&RawValue>(text).ok()?)
}

fn unread(endpoint: String, wanted: &str) -> Refusal {
    Refusal::Unknown(ApiError { endpoint, kind: Kind::BadBody(format!("the answer holds no {wanted}")) })
}

/// The result of a single call, and what its answer is about. None where the answer is no such record: a proxy's page is no success.
fn row(written: &Written, call: Call) -> (&'static str, Option<JobRow>) {
    let wrapper = if call == Call::OrganizationCreateOrUpdate { "organization" } else { "user" };
    let action = Some(if written.status == 201 { "create" } else { "update" }.to_owned());
    let row = decode::written(&written.body, wrapper).and_then(|(id, external_id, email)| {
        let id = Some(id?);
        Some(JobRow { index: Some(0), id, external_id, email, success: true, action, error: None, fault: None })
    });
    (wrapper, row)
}

/// What became of a call that was not answered with success.
fn refusal(call: Call, NotDone { error, said, sent }: NotDone) -> Refusal {
    let Some(said) = said else {
        return if sent { Refusal::Unknown(error) } else { Refusal::Api(error) };
    };
    match said.status {
        _ if said.code == TOO_MANY_JOBS => Refusal::TooManyJobs,
        408 | 500.. => Refusal::Unknown(error),
        413 => Refusal::TooLarge,
        403 if error.kind == Kind::MissingScope => Refusal::Api(error),
        // A 403 has no word of its own for this (H5): what else may be wrong shows in the single call that follows.
        403 if call == Call::UsersCreateOrUpdateMany => Refusal::BulkImportOff,
        400 | 403 | 404 | 409 | 410 | 422 if !call.is_bulk() => Refusal::Invalid(said.fault()),
        _ => Refusal::Api(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_record_is_the_success_of_a_single_call() {
        let check = |call: Call, status: u16, body: &str, expected: Option<(&str, &str)>| {
            let (_, row) = row(&Written { status, body: body.into() }, call);
            let found = row.as_ref().and_then(|row| row.id.as_deref().zip(row.action.as_deref()));
            assert_eq!(found, expected, "{body}");
        };
        let (user, organization) = (Call::UserCreateOrUpdate, Call::OrganizationCreateOrUpdate);
        check(user, 201, r#"{"user": {"id": 7}}"#, Some(("7", "create")));
        check(organization, 200, r#"{"organization": {"id": 8}}"#, Some(("8", "update")));
        check(user, 200, "<!DOCTYPE html><title>Sign in</title>", None);
        check(user, 200, "", None);
        check(user, 200, r#"{"user": {"name": "no id"}}"#, None);
        check(user, 200, r#"{"organization": {"id": 8}}"#, None);
    }
}
