//! The OAuth endpoints of an account (Z§1): the address of the consent page, the token endpoint, revocation.

use super::body;
use super::client::{self, ClientOptions, scopes};
use super::decode::error_message;
use super::error::{ApiError, Kind};
use crate::model::grant::Pair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Seconds that an access token shall live: the most Zendesk gives (Z§1).
const ACCESS_SECS: i64 = 172_800;

/// Seconds that a refresh token shall live: the most Zendesk gives (Z§1).
const REFRESH_SECS: i64 = 7_776_000;

/// Seconds that a refresh token lives when Zendesk does not say (Z§1).
const USUAL_REFRESH_SECS: i64 = 2_592_000;

/// How long the token endpoint may take: shorter than the lease of who asks it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// An OAuth client, as registered in Zendesk.
#[derive(Clone)]
pub struct App {
    /// Its identifier.
    pub client_id: String,
    /// Its secret; None for a public client.
    pub client_secret: Option<String>,
}

/// Why the token endpoint gave no tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The code or the refresh token is not, or no longer, good.
    #[error("Zendesk refuses the code or refresh token (invalid_grant): it has ended, was used before, or was revoked")]
    InvalidGrant,
    /// The client is unknown, or its secret is wrong.
    #[error("Zendesk does not know this OAuth client or its secret ({0})")]
    InvalidClient(String),
    /// Refused for another reason: nothing was granted.
    #[error("Zendesk refused to give a token: {0}")]
    Refused(Kind),
    /// The request never reached Zendesk.
    #[error("{0}")]
    NotSent(Kind),
    /// No usable answer: tokens may have been granted, and be lost.
    #[error("{0}")]
    Unsure(Kind),
}

impl TokenError {
    /// Has Zendesk certainly changed nothing?
    pub fn changed_nothing(&self) -> bool {
        !matches!(self, TokenError::Unsure(_))
    }
}

/// S256 of a verifier (RFC 7636).
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// The address at which a person allows `app` to act for them, and to `write` where activations do.
pub fn consent_url(
    base_url: &str,
    client_id: &str,
    redirect_uri: &str,
    state: &str,
    verifier: &str,
    write: bool,
) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", client_id)
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("scope", scopes(write))
        .append_pair("state", state)
        .append_pair("code_challenge", &challenge(verifier))
        .append_pair("code_challenge_method", "S256");
    format!("{base_url}/oauth/authorizations/new?{}", query.finish())
}

/// The token endpoint of an account.
pub struct TokenEndpoint {
    http: reqwest::Client,
    base_url: String,
    write: bool,
    most_bytes: usize,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: Option<i64>,
    refresh_token_expires_in: Option<i64>,
    scope: Option<String>,
}

impl TokenEndpoint {
    /// The endpoint of the account that these options are for.
    pub fn new(options: &ClientOptions) -> Result<TokenEndpoint, ApiError> {
        Ok(TokenEndpoint {
            http: client::http(options)?,
            base_url: options.base_url.clone(),
            write: options.write,
            most_bytes: options.max_response_bytes.min(64 * 1024),
        })
    }

    /// Exchanges a code for the first pair.
    pub async fn exchange(
        &self,
        app: &App,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
        now: DateTime<Utc>,
    ) -> Result<Pair, TokenError> {
        let body = json!({"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri,
            "code_verifier": verifier, "scope": scopes(self.write)});
        self.grant(app, body, now).await
    }

    /// Renews a pair. Zendesk ends the former one at once.
    pub async fn refresh(&self, app: &App, refresh_token: &str, now: DateTime<Utc>) -> Result<Pair, TokenError> {
        self.grant(app, json!({"grant_type": "refresh_token", "refresh_token": refresh_token}), now).await
    }

    async fn grant(&self, app: &App, mut body: Value, now: DateTime<Utc>) -> Result<Pair, TokenError> {
        body["client_id"] = json!(app.client_id);
        if let Some(secret) = &app.client_secret {
            body["client_secret"] = json!(secret);
        }
        // Asked for, because Zendesk tells lifetimes only to who asks for them.
        body["expires_in"] = json!(ACCESS_SECS);
        body["refresh_token_expires_in"] = json!(REFRESH_SECS);
        let request = self.http.post(format!("{}/oauth/tokens", self.base_url)).timeout(PATIENCE).json(&body);
        let response = request.send().await.map_err(|error| match error.is_connect() {
            true => TokenError::NotSent(body::broken(error)),
            false => TokenError::Unsure(body::broken(error)),
        })?;
        let status = response.status().as_u16();
        let bytes = body::read(response, self.most_bytes).await.map_err(TokenError::Unsure)?;
        pair(status, &bytes, now)
    }

    /// Takes back an access token, with what renews it. One that is no longer good counts as taken back.
    pub async fn revoke(&self, access_token: &str) -> Result<(), Kind> {
        const PATH: &str = "/api/v2/oauth/tokens/current";
        let request = self.http.delete(format!("{}{PATH}", self.base_url)).bearer_auth(access_token).timeout(PATIENCE);
        match request.send().await.map_err(body::broken)?.status().as_u16() {
            200..=299 | 401 | 404 => Ok(()),
            403 => Err(Kind::Forbidden("revoking the token".into())),
            status => Err(Kind::Server(status)),
        }
    }
}

/// What an answer of the token endpoint means.
///
/// # Errors
/// When it is a refusal, or holds no pair of tokens.
pub fn pair(status: u16, body: &[u8], now: DateTime<Utc>) -> Result<Pair, TokenError> {
    if status != 200 {
        return Err(refusal(status, body));
    }
    let granted: Granted =
        serde_json::from_slice(body).map_err(|_| unsure("the answer of the token endpoint holds no access token"))?;
    let refresh_token =
        granted.refresh_token.ok_or_else(|| unsure("the answer of the token endpoint holds no refresh token"))?;
    let life =
        |seconds: Option<i64>, usual: i64, most: i64| Duration::seconds(seconds.unwrap_or(usual).clamp(60, most));
    Ok(Pair {
        access_token: granted.access_token,
        refresh_token,
        scopes: granted.scope.unwrap_or_default().split_whitespace().map(str::to_string).collect(),
        issued_at: now,
        access_expires_at: now + life(granted.expires_in, ACCESS_SECS, ACCESS_SECS),
        refresh_expires_at: now + life(granted.refresh_token_expires_in, USUAL_REFRESH_SECS, REFRESH_SECS),
    })
}

fn unsure(words: &str) -> TokenError {
    TokenError::Unsure(Kind::BadBody(words.into()))
}

fn refusal(status: u16, body: &[u8]) -> TokenError {
    let code = error_message(status, body).code;
    match (status, code.as_str()) {
        (400 | 401, "invalid_grant") => TokenError::InvalidGrant,
        (400 | 401, "invalid_client" | "unauthorized_client") => TokenError::InvalidClient(code),
        (429, _) => TokenError::Refused(Kind::RateLimited { retry_after: std::time::Duration::from_secs(60) }),
        (300..=399, _) => TokenError::Refused(Kind::Redirected(status)),
        (400..=499, _) => TokenError::Refused(Kind::Refused { status, code }),
        (status, _) => TokenError::Unsure(Kind::Server(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn what_a_refusal_means() {
        let check = |status: u16, body: &str, expected: fn(&TokenError) -> bool| {
            let error = refusal(status, body.as_bytes());
            assert!(expected(&error), "{status} {body}: {error:?}");
        };
        check(400, r#"{"error":"invalid_grant"}"#, |error| *error == TokenError::InvalidGrant);
        check(401, r#"{"error":"invalid_client"}"#, |error| matches!(error, TokenError::InvalidClient(_)));
        check(400, r#"{"error":"invalid_request"}"#, TokenError::changed_nothing);
        check(429, "", TokenError::changed_nothing);
        check(302, "", TokenError::changed_nothing);
        check(502, "<html>", |error| !error.changed_nothing());
    }
}
