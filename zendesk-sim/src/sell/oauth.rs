//! Sell's OAuth 2: a client gets a code, a code a token, a refresh token the next one. Nobody has to consent here.
use super::Desk;
use crate::http::{Reply, Req};
use crate::time::Stamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// How long a code lives, in seconds.
const CODE_LIVES: i64 = 120;

/// Sell's credentials.
pub struct Keys {
    /// A token that does not end, as a person makes one on the dashboard.
    pub personal: String,
    /// The client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Codes: secret, scope, redirect address, end.
    codes: Vec<(String, String, String, Stamp)>,
    tokens: Vec<Token>,
}

struct Token {
    access: String,
    refresh: String,
    scope: String,
    ends: Stamp,
}

fn secret(chance: &mut ChaCha8Rng) -> String {
    format!("{:032x}{:032x}", chance.random::<u128>(), chance.random::<u128>())
}

impl Keys {
    /// New ones.
    pub fn new(chance: &mut ChaCha8Rng) -> Self {
        let (personal, client_id, client_secret) = (secret(chance), secret(chance), secret(chance));
        Self { personal, client_id, client_secret, codes: Vec::new(), tokens: Vec::new() }
    }

    /// What a token may be used for, if it is one.
    pub fn scopes(&self, secret: &str, now: Stamp) -> Option<String> {
        if secret == self.personal {
            return Some("read write profile".into());
        }
        self.tokens.iter().find(|token| token.access == secret && now < token.ends).map(|token| token.scope.clone())
    }
}

impl Desk {
    /// Answers `/oauth2/...`.
    pub fn grant(&mut self, req: &Req, rest: &[&str], now: Stamp) -> Reply {
        match (req.method.as_str(), rest) {
            ("GET", ["authorize"]) => self.authorize(req, now),
            ("POST", ["token"]) => match self.is_client(req) {
                true => self.token(req, now).unwrap_or_else(|error| refused(400, error)),
                false => refused(401, "invalid_client"),
            },
            ("POST", ["revoke"]) => {
                let given = field(req, "token");
                self.keys.tokens.retain(|token| token.access != given && token.refresh != given);
                Reply::ok(&json!({}))
            }
            _ => Reply::no_endpoint(),
        }
    }

    fn authorize(&mut self, req: &Req, now: Stamp) -> Reply {
        let Some(address) = req.q("redirect_uri").and_then(|text| url::Url::parse(text).ok()) else {
            return refused(400, "invalid_request");
        };
        if req.q("client_id") != Some(self.keys.client_id.as_str()) || req.q("response_type") != Some("code") {
            return refused(400, "invalid_request");
        }
        let code = secret(&mut self.chance);
        let scope = req.q("scope").unwrap_or("read write profile").to_owned();
        let mut back = address.clone();
        back.query_pairs_mut().append_pair("code", &code);
        if let Some(state) = req.q("state") {
            back.query_pairs_mut().append_pair("state", state);
        }
        let redirect_uri = req.q("redirect_uri").unwrap_or_default().to_owned();
        self.keys.codes.push((code, scope, redirect_uri, now.plus(CODE_LIVES)));
        Reply::text(302, "text/html; charset=utf-8", "").with("location", back.to_string())
    }

    /// Whether the client says who it is, in a header or in the body.
    fn is_client(&self, req: &Req) -> bool {
        let header = req.header("authorization").and_then(|text| text.strip_prefix("Basic "));
        let pair = header.and_then(|text| String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok());
        let (id, secret) = match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((id, secret)) => (id.to_owned(), secret.to_owned()),
            None => (field(req, "client_id").to_owned(), field(req, "client_secret").to_owned()),
        };
        id == self.keys.client_id && secret == self.keys.client_secret
    }

    fn token(&mut self, req: &Req, now: Stamp) -> Result<Reply, &'static str> {
        let scope = match field(req, "grant_type") {
            "authorization_code" => {
                let (code, address) = (field(req, "code"), field(req, "redirect_uri"));
                let place = self.keys.codes.iter().position(|(secret, ..)| secret == code).ok_or("invalid_grant")?;
                let (_, scope, redirect_uri, ends) = self.keys.codes.remove(place);
                if now >= ends || redirect_uri != address {
                    return Err("invalid_grant");
                }
                scope
            }
            "refresh_token" => {
                let refresh = field(req, "refresh_token");
                let found = self.keys.tokens.iter().position(|token| token.refresh == refresh);
                self.keys.tokens.remove(found.ok_or("invalid_grant")?).scope
            }
            _ => return Err("unsupported_grant_type"),
        };
        let (access, refresh) = (secret(&mut self.chance), secret(&mut self.chance));
        let ends = now.plus(self.settings.expires_in);
        let told = json!({"access_token": access, "token_type": "bearer", "expires_in": self.settings.expires_in,
            "refresh_token": refresh, "scope": scope});
        self.keys.tokens.push(Token { access, refresh, scope, ends });
        Ok(Reply::ok(&told))
    }
}

fn field<'a>(req: &'a Req, name: &str) -> &'a str {
    req.body.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn refused(status: u16, error: &str) -> Reply {
    Reply::json(status, &json!({"error": error, "error_description": "The request cannot be granted"}))
}
