//! Connecting to an account: its address, and whether the credentials may do what we need (Z§1).

use super::client::Client;
use super::error::{ApiError, Kind};
use serde::Deserialize;

/// Why an account cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Not an account name or address.
    #[error("{0:?} is no Zendesk account: give its name (acme) or its address (https://acme.zendesk.com)")]
    Address(String),
    /// An address that is not at zendesk.com and not allowed by configuration.
    #[error(
        "{0} is not at zendesk.com; another address must stand in zendesk.allowed_base_urls (meant for a simulated Zendesk only)"
    )]
    NotAllowed(String),
    /// Not where Zendesk Sell is.
    #[error(
        "{0:?} is not Zendesk Sell's address: leave it out; another one must stand in zendesk.allowed_base_urls (meant for a simulated Zendesk only)"
    )]
    NotSell(String),
    /// The request failed.
    #[error("{error}. {}", .error.kind.remedy())]
    Api {
        /// What failed.
        #[from]
        error: ApiError,
    },
    /// Nobody: Zendesk answers 200 with an anonymous user to who does not sign in.
    #[error("Zendesk takes these credentials for nobody's (anonymous user): check the e-mail address and the token")]
    Anonymous,
    /// A customer or agent.
    #[error(
        "these credentials are those of a user with the role {0}; an admin's are needed: without them the exports (users, organizations, tickets, ticket_events) and the webhook do not work"
    )]
    NotAdmin(String),
}

/// The base URL of an account given by name or address. Any other host only where configuration allows it explicitly.
pub fn base_url(account: &str, allowed: &[String]) -> Result<String, AccountError> {
    let text = account.trim().trim_end_matches('/');
    if allowed.iter().any(|url| url.trim_end_matches('/') == text) {
        return Ok(text.to_string());
    }
    let host = match text.split_once("://") {
        Some(("https", rest)) => rest.split('/').next().unwrap_or(rest),
        Some(_) => return Err(AccountError::NotAllowed(text.to_string())),
        None => text,
    };
    let host = host.to_ascii_lowercase();
    let label = match host.strip_suffix(".zendesk.com") {
        Some(label) => label,
        None if !host.contains('.') => &host,
        None => return Err(AccountError::NotAllowed(text.to_string())),
    };
    match is_label(label) {
        true => Ok(format!("https://{label}.zendesk.com")),
        false => Err(AccountError::Address(account.trim().chars().take(100).collect())),
    }
}

/// Where Zendesk Sell's API is, for every account (Z§9).
pub const SELL_URL: &str = "https://api.getbase.com";

/// The address of Zendesk Sell. Any other only where configuration allows it explicitly.
pub fn sell_url(given: Option<&str>, allowed: &[String]) -> Result<String, AccountError> {
    let text = given.unwrap_or(SELL_URL).trim().trim_end_matches('/');
    match text == SELL_URL || allowed.iter().any(|url| url.trim_end_matches('/') == text) {
        true => Ok(text.to_string()),
        false => Err(AccountError::NotSell(text.chars().take(100).collect())),
    }
}

/// One DNS label: `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`.
fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| plain(byte) || *byte == b'-')
        && bytes.first().is_some_and(plain)
        && bytes.last().is_some_and(plain)
}

/// Whose credentials these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Zendesk user id.
    pub user_id: i64,
    /// Role.
    pub role: String,
    /// Scopes of an OAuth token; None for an API token, which has all.
    pub scopes: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Me {
    user: User,
}

#[derive(Deserialize)]
struct User {
    id: Option<i64>,
    role: Option<String>,
}

#[derive(Deserialize)]
struct CurrentToken {
    token: TokenInfo,
}

#[derive(Deserialize)]
struct TokenInfo {
    scopes: Vec<String>,
}

/// Checks the credentials: somebody's, an admin's; and reads the scopes of an OAuth token.
pub async fn verify(client: &Client, is_oauth: bool) -> Result<Identity, AccountError> {
    const ME: &str = "/api/v2/users/me";
    let body = client.get(ME).await?;
    let me: Me = serde_json::from_slice(&body).map_err(|_| ApiError {
        endpoint: format!("GET {ME}"),
        kind: Kind::BadBody("the answer holds no user; is this a Zendesk account?".into()),
    })?;
    let user_id = me.user.id.ok_or(AccountError::Anonymous)?;
    let role = me.user.role.unwrap_or_else(|| "unknown".into());
    if role != "admin" {
        return Err(AccountError::NotAdmin(role));
    }
    let scopes = match is_oauth {
        false => None,
        true => match client.get("/api/v2/oauth/tokens/current").await {
            Ok(body) => serde_json::from_slice::<CurrentToken>(&body).ok().map(|current| current.token.scopes),
            // The probe itself needs a scope on some accounts: what is missing shows where it is needed.
            Err(error) if matches!(error.kind, Kind::Forbidden(_) | Kind::MissingScope | Kind::NotFound) => None,
            Err(error) => return Err(error.into()),
        },
    };
    Ok(Identity { user_id, role, scopes })
}

#[derive(Deserialize)]
struct Contacts {
    #[serde(rename = "items")]
    _items: Vec<serde::de::IgnoredAny>,
}

/// Checks a token of Zendesk Sell by reading a contact. Sell does not tell whether the token may write as well.
pub async fn verify_sell(client: &Client) -> Result<(), AccountError> {
    let body = client.get("/v2/contacts?per_page=1").await?;
    let found: Result<Contacts, _> = serde_json::from_slice(&body);
    found.map(|_| ()).map_err(|_| {
        let kind = Kind::BadBody("the answer holds no contacts; is this Zendesk Sell?".into());
        ApiError { endpoint: "GET /v2/contacts".into(), kind }.into()
    })
}

/// Whether this account knows that user, and as an admin: ids are unique among all accounts.
pub async fn has_admin(client: &Client, user_id: i64) -> Result<bool, ApiError> {
    let path = format!("/api/v2/users/{user_id}");
    let body = match client.get(&path).await {
        Ok(body) => body,
        Err(ApiError { kind: Kind::NotFound, .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(serde_json::from_slice::<Me>(&body).is_ok_and(|me| me.user.role.as_deref() == Some("admin")))
}

/// What will not work for want of a scope, in words; `write`: activations write to this account.
pub fn missing_scopes(scopes: &[String], write: bool) -> Vec<&'static str> {
    let has = |wanted: &[&str]| scopes.iter().any(|scope| wanted.contains(&scope.as_str()));
    let needs: [(&[&str], &'static str); 6] = [
        (&["read", "users:read"], "users:read is missing: users will not be read"),
        (&["read", "organizations:read"], "organizations:read is missing: organizations will not be read"),
        (&["read", "tickets:read"], "tickets:read is missing: tickets, ticket events and ratings will not be read"),
        (&["write", "webhooks:write"], "webhooks:write is missing: set the webhook up by hand (--manual-webhook)"),
        (&["write", "users:write"], "users:write is missing: activations cannot write users"),
        (&["write", "organizations:write"], "organizations:write is missing: activations cannot write organizations"),
    ];
    let asked = if write { 6 } else { 4 };
    needs.into_iter().take(asked).filter(|(wanted, _)| !has(wanted)).map(|(_, words)| words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_become_one_host() {
        let allowed = ["http://127.0.0.1:4000".to_string()];
        let check = |account: &str, expected: Option<&str>| {
            assert_eq!(base_url(account, &allowed).ok().as_deref(), expected, "{account}")
        };
        check("acme", Some("https://acme.zendesk.com"));
        check(" ACME ", Some("https://acme.zendesk.com"));
        check("https://acme.zendesk.com/", Some("https://acme.zendesk.com"));
        check("https://acme.zendesk.com/agent/dashboard", Some("https://acme.zendesk.com"));
        check("acme.zendesk.com", Some("https://acme.zendesk.com"));
        check("http://127.0.0.1:4000/", Some("http://127.0.0.1:4000"));
        check("http://127.0.0.1:4001", None);
        check("http://acme.zendesk.com", None);
        check("https://evil.example/acme.zendesk.com", None);
        check("https://acme.zendesk.com.evil.example", None);
        check("a.b.zendesk.com", None);
        check("-acme", None);
        check("https://user@acme.zendesk.com", None);
        check("", None);
    }

    #[test]
    fn sell_is_at_one_address() {
        let allowed = ["http://127.0.0.1:4000".to_string()];
        let check = |given: Option<&str>, expected: Option<&str>| {
            assert_eq!(sell_url(given, &allowed).ok().as_deref(), expected, "{given:?}")
        };
        check(None, Some(SELL_URL));
        check(Some("https://api.getbase.com/"), Some(SELL_URL));
        check(Some("http://127.0.0.1:4000/"), Some("http://127.0.0.1:4000"));
        check(Some("https://api.getbase.com.evil.example"), None);
        check(Some("acme"), None);
    }

    #[test]
    fn missing_scopes_say_what_will_not_work() {
        let check = |scopes: &[&str], write: bool, expected: usize| {
            let scopes: Vec<String> = scopes.iter().map(|scope| scope.to_string()).collect();
            assert_eq!(missing_scopes(&scopes, write).len(), expected, "{scopes:?}");
        };
        check(&["read", "write"], true, 0);
        check(&["read", "webhooks:write"], false, 0);
        check(&["read", "webhooks:write"], true, 2);
        check(&["read", "webhooks:write", "users:write"], true, 1);
        check(&["users:read"], false, 3);
        check(&["reed"], false, 4);
    }
}
