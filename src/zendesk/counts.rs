//! How much an account holds, by Zendesk's own counts: what a first sync is estimated from.

use super::client::Client;
use super::error::{ApiError, Kind};
use super::webhooks::encode;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// Zendesk's counts. Those over 100,000 are up to a day old (Z§3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountCounts {
    /// Users that are not deleted.
    pub users: u64,
    /// Deleted users.
    pub deleted_users: u64,
    /// Organizations.
    pub organizations: u64,
    /// Tickets updated since, by the search, which knows the archived too.
    pub tickets: u64,
}

/// Asks for the counts; tickets are those updated since `since`.
pub async fn read(client: &Client, since: DateTime<Utc>) -> Result<AccountCounts, ApiError> {
    let query = encode(&format!("type:ticket updated>={}", since.format("%Y-%m-%d")));
    Ok(AccountCounts {
        users: count(client, "/api/v2/users/count").await?,
        deleted_users: count(client, "/api/v2/deleted_users/count").await?,
        organizations: count(client, "/api/v2/organizations/count").await?,
        tickets: count(client, &format!("/api/v2/search/count?query={query}")).await?,
    })
}

async fn count(client: &Client, path: &str) -> Result<u64, ApiError> {
    let body = client.get(path).await?;
    number(&body).ok_or_else(|| ApiError {
        endpoint: format!("GET {}", path.split('?').next().unwrap_or(path)),
        kind: Kind::BadBody("the answer holds no count".into()),
    })
}

/// `{"count": 5}` or `{"count": {"value": 5, …}}`.
fn number(body: &[u8]) -> Option<u64> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body["count"]["value"].as_u64().or_else(|| body["count"].as_u64())
}

#[cfg(test)]
mod tests {
    #[test]
    fn counts_come_in_two_shapes() {
        let check = |body: &str, expected: Option<u64>| assert_eq!(super::number(body.as_bytes()), expected, "{body}");
        check(r#"{"count": 5}"#, Some(5));
        check(r#"{"count": {"value": 102, "refreshed_at": "2026-01-01T00:00:00Z"}}"#, Some(102));
        check(r#"{"count": "many"}"#, None);
        check("<html>", None);
    }
}
