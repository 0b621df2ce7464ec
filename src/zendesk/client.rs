//! The client of one account: requests on the configured host only, within the limits, retried where that is right.

use super::body;
use super::budget::{self, Budget};
use super::decode::error_message;
use super::error::{ApiError, Kind};
use super::limiter::Limiter;
use crate::clock::Clock;
use crate::model::source::Credentials;
use crate::rules::retry::{self, Failure, Retry};
use base64::Engine;
use chrono::{DateTime, Duration, Utc};
use reqwest::header::{AUTHORIZATION, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use std::sync::{Mutex, Once, PoisonError};

/// How requests are made.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Name of the source, for logs and metrics.
    pub source: String,
    /// `https://{subdomain}.zendesk.com`, without a slash at its end.
    pub base_url: String,
    /// How long a request may take.
    pub timeout: std::time::Duration,
    /// How long connecting may take.
    pub connect_timeout: std::time::Duration,
    /// Largest body read.
    pub max_response_bytes: usize,
    /// What we call ourselves.
    pub user_agent: String,
    /// Requests a minute that we allow ourselves.
    pub requests_per_minute: u32,
    /// Export requests a minute.
    pub incremental_per_minute: u32,
}

/// A client of one account. One for each source, so that its limiter sees every request.
pub struct Client {
    options: ClientOptions,
    http: reqwest::Client,
    credentials: Credentials,
    fetched: Mutex<Option<Fetched>>,
    limiter: Limiter,
    clock: Clock,
}

/// An access token that the client fetched by its own credentials.
#[derive(Clone)]
struct Fetched {
    header: HeaderValue,
    renew_at: DateTime<Utc>,
}

/// Longest wait for the budget within a request; longer ones are left to the schedule.
const LONGEST_WAIT: Duration = Duration::seconds(90);

/// Longest stop of a shared budget because one answer asked for it: no window of Zendesk's is longer (Z§6).
const LONGEST_BLOCK: Duration = Duration::minutes(10);

impl Client {
    /// A client. Fails only when the TLS set-up does.
    pub fn new(options: ClientOptions, credentials: Credentials, clock: Clock) -> Result<Client, ApiError> {
        static TLS: Once = Once::new();
        TLS.call_once(|| {
            // Fails only when a provider is installed already, which serves as well.
            _ = rustls::crypto::ring::default_provider().install_default();
        });
        let http = reqwest::Client::builder()
            .timeout(options.timeout)
            .connect_timeout(options.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(&options.user_agent)
            .build()
            .map_err(|error| failed("client", Kind::Network(error.to_string())))?;
        let limiter = Limiter::new(clock.clone(), options.requests_per_minute, options.incremental_per_minute);
        Ok(Client { options, http, credentials, fetched: Mutex::new(None), limiter, clock })
    }

    /// The budgets, for the metrics.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Reads `path` (with its parameters), waiting for the budget and retrying what may be retried.
    pub async fn get(&self, path: &str) -> Result<Vec<u8>, ApiError> {
        self.request(Method::GET, path, None, LONGEST_WAIT).await
    }

    /// Reads `path` only if the budget allows it at once.
    pub async fn get_if_affordable(&self, path: &str) -> Result<Vec<u8>, ApiError> {
        self.request(Method::GET, path, None, Duration::zero()).await
    }

    /// Sends a body.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Vec<u8>, ApiError> {
        self.request(method, path, body, LONGEST_WAIT).await
    }

    /// Sends a body only if the budget allows it at once, and once only.
    pub async fn send_if_affordable(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Vec<u8>, ApiError> {
        self.request(method, path, body, Duration::zero()).await
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
        most: Duration,
    ) -> Result<Vec<u8>, ApiError> {
        let endpoint = format!("{method} {}", path.split('?').next().unwrap_or(path));
        let repeatable = method == Method::GET;
        let mut refreshed = false;
        let mut attempt = 1;
        loop {
            let kind = match self.once(&method, path, body, most).await {
                Ok(bytes) => return Ok(bytes),
                Err(kind) => kind,
            };
            if matches!(kind, Kind::BudgetSpent(_)) {
                return Err(ApiError { endpoint, kind }); // nothing was sent
            }
            let outcome = if matches!(kind, Kind::RateLimited { .. }) { "throttled" } else { "failed" };
            self.count(&endpoint, outcome);
            if kind == Kind::Unauthorized
                && !refreshed
                && matches!(self.credentials, Credentials::ClientCredentials { .. })
            {
                refreshed = true;
                *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) = None;
                continue;
            }
            let wait = match (&kind, retry::decide(&kind.failure(), attempt, rand::random())) {
                // A page that times out is asked for at half its size, by the caller; a spent budget is no failure.
                (Kind::TimedOut | Kind::BudgetSpent(_), _) | (_, Retry::GiveUp) => {
                    return Err(ApiError { endpoint, kind });
                }
                (_, Retry::After(wait)) => wait,
            };
            let may_repeat = repeatable || matches!(kind.failure(), Failure::RateLimited { .. });
            let too_long = Duration::from_std(wait).unwrap_or(LONGEST_WAIT) > LONGEST_WAIT;
            if !may_repeat || too_long || attempt >= 5 || most.is_zero() {
                return Err(ApiError { endpoint, kind });
            }
            tracing::warn!(source = self.options.source, endpoint, attempt, wait_ms = wait.as_millis() as u64, error = %kind, "asking Zendesk again");
            self.clock.sleep(wait).await;
            attempt += 1;
        }
    }

    fn count(&self, endpoint: &str, outcome: &'static str) {
        metrics::counter!("deskbridge_zendesk_requests_total", "source" => self.options.source.clone(),
            "endpoint" => plain(endpoint), "outcome" => outcome)
        .increment(1);
    }

    async fn once(
        &self,
        method: &Method,
        path: &str,
        sent: Option<&serde_json::Value>,
        most: Duration,
    ) -> Result<Vec<u8>, Kind> {
        let authorization = self.authorization().await?;
        let draws = budget::draws(method, path, sent);
        let is_export = draws.iter().any(|draw| draw.budget == Budget::Exports);
        let budget = if is_export { Budget::Exports } else { Budget::Requests };
        let permit = self
            .limiter
            .acquire(budget, most)
            .await
            .map_err(|wait| Kind::BudgetSpent(wait.to_std().unwrap_or_default()))?;
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.options.base_url));
        request = request.header(AUTHORIZATION, authorization).header("accept", "application/json");
        if let Some(sent) = sent {
            request = request.json(sent);
        }
        let response = request.send().await.map_err(body::broken)?;
        // The webhooks API counts for itself, and shows its own limit in the same headers (Z§6).
        if !path.starts_with("/api/v2/webhooks") {
            self.limiter.observe(budget, |name| {
                response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_string)
            });
        }
        let status = response.status();
        let headers = response.headers().clone();
        if let Some(warning) = headers.get("x-zendesk-api-warn").and_then(|value| value.to_str().ok()) {
            tracing::warn!(
                source = self.options.source,
                path = path.split('?').next(),
                warning,
                "Zendesk ignored part of a request"
            );
        }
        let bytes = body::read(response, self.options.max_response_bytes).await?;
        drop(permit);
        if status.is_success() {
            self.count(&format!("{method} {}", path.split('?').next().unwrap_or(path)), "ok");
            return Ok(bytes);
        }
        Err(self.kind_of(status, &headers, &bytes, budget))
    }

    fn kind_of(&self, status: StatusCode, headers: &HeaderMap, body: &[u8], budget: Budget) -> Kind {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        // A date is measured by the clock of who wrote it. What says more than an hour is a mistake (`MAX_RETRY_AFTER`).
        let theirs = text(DATE).and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let now = theirs.map_or_else(|| self.clock.now(), |date| date.with_timezone(&Utc));
        let said = text(RETRY_AFTER).and_then(|text| retry::parse_retry_after(text, now));
        let said = said.map(|wait| wait.min(retry::MAX_RETRY_AFTER));
        let code = || error_message(status.as_u16(), body).code;
        match (status.as_u16(), retry::classify(status.as_u16(), said)) {
            (_, Failure::RateLimited { retry_after }) => {
                let wait = if retry_after.is_zero() { std::time::Duration::from_secs(10) } else { retry_after };
                // A 503 tells of this endpoint, not of the budget that others share.
                if status == StatusCode::TOO_MANY_REQUESTS {
                    self.limiter.block(budget, Duration::from_std(wait).unwrap_or(LONGEST_BLOCK).min(LONGEST_BLOCK));
                }
                Kind::RateLimited { retry_after: wait }
            }
            (_, Failure::Unauthorized) => Kind::Unauthorized,
            (_, Failure::Forbidden) => Kind::Forbidden(code()),
            (_, Failure::NotFound) => Kind::NotFound,
            (504, _) => Kind::TimedOut,
            (status @ 500.., _) => Kind::Server(status),
            (status @ 300..400, _) => Kind::Redirected(status),
            (status, _) => Kind::Refused { status, code: code() },
        }
    }

    /// The `Authorization` header; fetched first where the credentials are a client's.
    async fn authorization(&self) -> Result<HeaderValue, Kind> {
        match &self.credentials {
            Credentials::Bearer { token } => bearer(token),
            Credentials::ApiToken { email, token } => {
                let pair = base64::engine::general_purpose::STANDARD.encode(format!("{email}/token:{token}"));
                secret_header(&format!("Basic {pair}"))
            }
            Credentials::ClientCredentials { client_id, client_secret } => self.fetched(client_id, client_secret).await,
        }
    }

    async fn fetched(&self, client_id: &str, client_secret: &str) -> Result<HeaderValue, Kind> {
        let known = self.fetched.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| known.renew_at > self.clock.now()) {
            return Ok(known.header);
        }
        let body = serde_json::json!({"grant_type": "client_credentials", "client_id": client_id,
            "client_secret": client_secret, "scope": "read webhooks:read webhooks:write", "expires_in": 7200});
        let url = format!("{}/oauth/tokens", self.options.base_url);
        let response = self.http.post(url).json(&body).send().await.map_err(body::broken)?;
        if !response.status().is_success() {
            return Err(match response.status().as_u16() {
                400..=403 => Kind::Unauthorized,
                status => Kind::Server(status),
            });
        }
        let bytes = body::read(response, self.options.max_response_bytes).await?;
        let answer: Token = serde_json::from_slice(&bytes)
            .map_err(|_| Kind::BadBody("the answer of the token endpoint has no access_token".into()))?;
        let header = bearer(&answer.access_token)?;
        let lifetime = answer.expires_in.unwrap_or(7200).clamp(60, 172_800);
        // Renewed at nine tenths of its life, so that no request meets a token that has just ended.
        let renew_at = self.clock.now() + Duration::seconds(lifetime * 9 / 10);
        *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Fetched { header: header.clone(), renew_at });
        Ok(header)
    }
}

#[derive(serde::Deserialize)]
struct Token {
    access_token: String,
    expires_in: Option<i64>,
}

fn bearer(token: &str) -> Result<HeaderValue, Kind> {
    secret_header(&format!("Bearer {token}"))
}

fn secret_header(text: &str) -> Result<HeaderValue, Kind> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Kind::Unauthorized)?;
    value.set_sensitive(true);
    Ok(value)
}

fn failed(endpoint: &str, kind: Kind) -> ApiError {
    ApiError { endpoint: endpoint.to_string(), kind }
}

/// The endpoint without the ids in it, so that a metric has few values.
fn plain(endpoint: &str) -> String {
    let parts = endpoint.split('/').map(|part| {
        let is_id = !part.is_empty()
            && (part.bytes().all(|byte| byte.is_ascii_digit()) || (part.len() == 26 && part.is_ascii()));
        if is_id { ":id" } else { part }
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    #[test]
    fn metrics_name_endpoints_without_ids() {
        let check = |endpoint: &str, expected: &str| assert_eq!(super::plain(endpoint), expected);
        check("GET /api/v2/users/show_many", "GET /api/v2/users/show_many");
        check("PUT /api/v2/webhooks/01HANAHAFTBVF1NA2AVFK4W763", "PUT /api/v2/webhooks/:id");
        check("GET /api/v2/tickets/17/comments", "GET /api/v2/tickets/:id/comments");
    }
}
