//! The client of one account: requests on the configured host only, within the limits, retried where that is right.

use super::decode::error_message;
use super::error::{ApiError, Kind};
use super::limiter::{Denied, Ledger, Limiter, Permit};
use super::purse::Shares;
use super::written::{Failed, NotDone, Written};
use super::{body, budget};
use crate::clock::Clock;
use crate::config::SecretText;
use crate::model::source::Credentials;
use crate::rules::retry::{self, Failure, Retry};
use base64::Engine;
use chrono::{DateTime, Duration, Utc};
use futures_util::future::BoxFuture;
use reqwest::header::{ACCEPT, AUTHORIZATION, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use std::sync::{Arc, Mutex, Once, PoisonError};

/// What our tokens are for: reading and our webhook; users and organizations, where activations write them. Not more than that.
pub fn scopes(write: bool) -> &'static str {
    match write {
        false => "read webhooks:read webhooks:write",
        true => "read webhooks:read webhooks:write users:write organizations:write",
    }
}

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
    /// Whether our own tokens are asked for with the scopes to write users and organizations.
    pub write: bool,
    /// How the account's budgets are used.
    pub shares: Shares,
}

/// A client of one account. One for each source, so that its limiter sees every request.
pub struct Client {
    options: ClientOptions,
    http: reqwest::Client,
    login: Login,
    fetched: Mutex<Option<Fetched>>,
    limiter: Limiter,
    clock: Clock,
    /// Jobs that Zendesk would still take, as it last said.
    jobs_left: Mutex<Option<u64>>,
}

/// An access token that the client fetched by its own credentials.
#[derive(Clone)]
struct Fetched {
    header: HeaderValue,
    renew_at: DateTime<Utc>,
}

/// Access tokens that change while a client lives.
pub trait AccessTokens: Send + Sync {
    /// The token to send now.
    fn current(&self) -> BoxFuture<'_, Result<SecretText, Kind>>;
    /// Zendesk has just not accepted the token of this header: the next one has to be another.
    fn refused(&self, header: &str);
}

/// How a client signs in.
pub enum Login {
    /// By the same credentials always.
    With(Credentials),
    /// By tokens that are renewed.
    Renewed(Arc<dyn AccessTokens>),
}

impl From<Credentials> for Login {
    fn from(credentials: Credentials) -> Login {
        Login::With(credentials)
    }
}

/// How long a request waits for its budget.
#[derive(Clone, Copy)]
enum Patience {
    /// As long as that.
    UpTo(Duration),
    /// It cannot wait, and may take the whole of our share: a webhook's records, read again.
    Urgent,
    /// Whoever asks waits, not the request.
    None,
}

/// Zendesk's words when a token lacks a scope: `You are missing the following required scopes: users:write, write`; Sell's is a code, `insufficient_scope`.
const MISSING_SCOPES: &str = "missing the following required scope";

/// Zendesk's word for too many jobs at once, whatever the status it comes with (Z§5).
pub const TOO_MANY_JOBS: &str = "TooManyJobs";

/// Longest wait for the budget within a request; longer ones are left to the schedule.
const LONGEST_WAIT: Duration = Duration::seconds(90);

impl Client {
    /// A client that shares its budgets with all who use the same ledger. Fails only when the TLS set-up does.
    pub fn new(
        options: ClientOptions,
        login: impl Into<Login>,
        clock: Clock,
        ledger: Arc<dyn Ledger>,
    ) -> Result<Client, ApiError> {
        let (http, login) = (http(&options)?, login.into());
        let limiter = Limiter::new(&options.source, clock.clone(), options.shares, ledger);
        let (fetched, jobs_left) = (Mutex::new(None), Mutex::new(None));
        Ok(Client { options, http, login, fetched, limiter, clock, jobs_left })
    }

    /// How many more jobs Zendesk would have taken when it last told (Z§6, `inflight-jobs`).
    pub fn jobs_left(&self) -> Option<u64> {
        *self.jobs_left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The budgets, for the metrics.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Takes back the access token that the client fetched for itself, if it did.
    pub async fn sign_out(&self) {
        let fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if fetched && let Err(error) = self.send(Method::DELETE, "/api/v2/oauth/tokens/current", None).await {
            tracing::warn!(source = self.options.source, error = %error, "the access token could not be revoked; it ends by itself within two hours");
        }
        *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) = None;
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

    /// Sends a body exactly once, and only if the budget allows it at once: whoever writes decides what a failure means, and
    /// never waits in here. A token that is not accepted is replaced and the request made again, since nothing came of it.
    pub async fn write(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Written, NotDone> {
        let endpoint = format!("{method} {}", path.split('?').next().unwrap_or(path));
        let mut done = self.once(&method, path, body, Patience::None).await;
        if matches!(&done, Err(failed) if failed.kind == Kind::Unauthorized) && self.has_another_token() {
            self.count(&endpoint, "failed");
            done = self.once(&method, path, body, Patience::None).await;
        }
        done.map(|(status, body)| Written { status, body }).map_err(|Failed { kind, said, sent }| {
            match kind {
                Kind::BudgetSpent(_) | Kind::BudgetsUnknown(_) => {}
                Kind::RateLimited { .. } => self.count(&endpoint, "throttled"),
                _ => self.count(&endpoint, "failed"),
            }
            NotDone { error: ApiError { endpoint, kind }, said, sent }
        })
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
            let patience = if most.is_zero() { Patience::Urgent } else { Patience::UpTo(most) };
            let kind = match self.once(&method, path, body, patience).await {
                Ok((_, bytes)) => return Ok(bytes),
                Err(failed) => failed.kind,
            };
            if matches!(kind, Kind::BudgetSpent(_) | Kind::BudgetsUnknown(_)) {
                return Err(ApiError { endpoint, kind }); // nothing was sent
            }
            let outcome = if matches!(kind, Kind::RateLimited { .. }) { "throttled" } else { "failed" };
            self.count(&endpoint, outcome);
            if kind == Kind::Unauthorized && !refreshed && self.has_another_token() {
                refreshed = true;
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
        patience: Patience,
    ) -> Result<(u16, Vec<u8>), Failed> {
        let authorization = self.authorization().await.map_err(Failed::before)?;
        let permit = self.permit(budget::draws(method, path, sent), patience).await.map_err(Failed::before)?;
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.options.base_url));
        request = request.header(AUTHORIZATION, &authorization);
        if let Some(sent) = sent {
            request = request.json(sent);
        }
        let response = request.send().await.map_err(|error| Failed {
            sent: !(error.is_connect() || error.is_builder()),
            ..Failed::before(body::broken(error))
        })?;
        let status = response.status();
        let headers = response.headers().clone();
        self.look_at(path, &headers);
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_string);
        let bytes = if status == StatusCode::TOO_MANY_REQUESTS {
            let bytes = body::read(response, self.options.max_response_bytes).await;
            // Too many jobs is no spent budget: looking at them must go on.
            let is_jobs = bytes.as_ref().is_ok_and(|bytes| error_message(429, bytes).code == TOO_MANY_JOBS);
            self.limiter.settle(permit, header, (!is_jobs).then(|| self.told_to_wait(&headers))).await;
            bytes
        } else {
            self.limiter.settle(permit, header, None).await;
            body::read(response, self.options.max_response_bytes).await
        };
        if !status.is_success() {
            if status == StatusCode::UNAUTHORIZED {
                self.doubt(&authorization);
            }
            // A refusal whose words are lost is one all the same.
            let bytes = bytes.unwrap_or_default();
            let (kind, said) = (self.kind_of(status, &headers, &bytes), error_message(status.as_u16(), &bytes));
            return Err(Failed { kind, said: Some(said), sent: true });
        }
        let bytes = bytes.map_err(Failed::after)?;
        self.count(&format!("{method} {}", path.split('?').next().unwrap_or(path)), "ok");
        Ok((status.as_u16(), bytes))
    }

    async fn permit(&self, draws: Vec<budget::Draw>, patience: Patience) -> Result<Permit<'_>, Kind> {
        let (urgent, most) = match patience {
            Patience::UpTo(most) => (false, most),
            Patience::Urgent => (true, Duration::zero()),
            Patience::None => (false, Duration::zero()),
        };
        self.limiter.acquire(draws, urgent, most).await.map_err(|denied| match denied {
            Denied::Spent(wait) => Kind::BudgetSpent(wait.to_std().unwrap_or_default()),
            Denied::Ledger(why) => Kind::BudgetsUnknown(why),
        })
    }

    /// What the headers of an answer say beside the budgets.
    fn look_at(&self, path: &str, headers: &HeaderMap) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(warning) = text("x-zendesk-api-warn") {
            let path = path.split('?').next();
            tracing::warn!(source = self.options.source, path, warning, "Zendesk ignored part of a request");
        }
        if let Some(left) =
            text("zendesk-ratelimit-inflight-jobs").and_then(|said| retry::parse_rate_header(said).remaining)
        {
            *self.jobs_left.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
        }
    }

    /// After a 401: may there be another token than the one sent?
    fn has_another_token(&self) -> bool {
        matches!(self.login, Login::Renewed(_) | Login::With(Credentials::ClientCredentials { .. }))
    }

    /// The token sent was not accepted: the next request is made with another.
    fn doubt(&self, authorization: &HeaderValue) {
        match (&self.login, authorization.to_str()) {
            (Login::Renewed(tokens), Ok(header)) => tokens.refused(header),
            _ => *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) = None,
        }
    }

    /// How long Zendesk says to wait. A date is measured by Zendesk's own clock, where the answer tells it.
    fn retry_after(&self, headers: &HeaderMap) -> Option<std::time::Duration> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let date = text(DATE).and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let now = date.map_or_else(|| self.clock.now(), |date| date.to_utc());
        text(RETRY_AFTER).and_then(|said| retry::parse_retry_after(said, now))
    }

    /// The wait after a refusal: as told, or 10 s; never longer than [`retry::MAX_RETRY_AFTER`].
    fn told_to_wait(&self, headers: &HeaderMap) -> std::time::Duration {
        let told = self.retry_after(headers).filter(|wait| !wait.is_zero());
        told.unwrap_or(std::time::Duration::from_secs(10)).min(retry::MAX_RETRY_AFTER)
    }

    fn kind_of(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Kind {
        let said = self.retry_after(headers);
        let said_why = error_message(status.as_u16(), body);
        let code = || said_why.code.clone();
        match (status.as_u16(), retry::classify(status.as_u16(), said)) {
            (_, Failure::RateLimited { .. }) => Kind::RateLimited { retry_after: self.told_to_wait(headers) },
            (_, Failure::Unauthorized) => Kind::Unauthorized,
            (_, Failure::Forbidden)
                if said_why.description.contains(MISSING_SCOPES) || said_why.code == "insufficient_scope" =>
            {
                Kind::MissingScope
            }
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
        let credentials = match &self.login {
            Login::Renewed(tokens) => return bearer(tokens.current().await?.expose()),
            Login::With(credentials) => credentials,
        };
        match credentials {
            Credentials::Bearer { token } => bearer(token),
            Credentials::ApiToken { email, token } => {
                let pair = base64::engine::general_purpose::STANDARD.encode(format!("{email}/token:{token}"));
                secret_header(&format!("Basic {pair}"))
            }
            Credentials::ClientCredentials { client_id, client_secret } => self.fetched(client_id, client_secret).await,
            Credentials::Browser { fresh, .. } => match fresh {
                Some(pair) => bearer(&pair.access_token),
                None => Err(Kind::NeedsReconnect("its tokens are not there".into())),
            },
        }
    }

    async fn fetched(&self, client_id: &str, client_secret: &str) -> Result<HeaderValue, Kind> {
        let known = self.fetched.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| known.renew_at > self.clock.now()) {
            return Ok(known.header);
        }
        let body = serde_json::json!({"grant_type": "client_credentials", "client_id": client_id,
            "client_secret": client_secret, "scope": scopes(self.options.write), "expires_in": 7200});
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

/// An HTTP client that keeps to the rules: no redirects, no proxy, bounded in time.
pub(super) fn http(options: &ClientOptions) -> Result<reqwest::Client, ApiError> {
    static TLS: Once = Once::new();
    TLS.call_once(|| {
        // Fails only when a provider is installed already, which serves as well.
        _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder()
        .timeout(options.timeout)
        .connect_timeout(options.connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(&options.user_agent)
        .default_headers(HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]))
        .build()
        .map_err(|error| failed("client", Kind::Network(error.to_string())))
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
