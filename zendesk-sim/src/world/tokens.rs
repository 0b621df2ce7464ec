//! Credentials: API tokens, OAuth clients, authorization codes and access tokens.
use super::World;
use super::user::Role;
use crate::time::Stamp;
use rand::RngExt;

/// An OAuth access token, with what renews it.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its id.
    pub id: i64,
    /// The secret itself.
    pub secret: String,
    /// The one that renews it.
    pub refresh: Option<String>,
    /// When that one ends.
    pub refresh_expires_at: Option<Stamp>,
    /// The client it was given to, by its numeric id.
    pub client_id: i64,
    /// Whom it speaks for.
    pub user_id: i64,
    /// What that user might do when it was made.
    pub role: Role,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Stamp,
    /// When it was last used.
    pub used_at: Option<Stamp>,
    /// When it ends.
    pub expires_at: Option<Stamp>,
    /// Whether it was taken back, or renewed.
    pub revoked: bool,
}

/// Somebody's software, as registered by an admin.
#[derive(Clone, Debug)]
pub struct OauthClient {
    /// Its numeric id.
    pub id: i64,
    /// The name it goes by: `client_id` of the grants.
    pub identifier: String,
    /// The name people are shown.
    pub name: String,
    /// The company people are shown.
    pub company: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// Its secret; a public client has one too, and does not use it.
    pub secret: String,
    /// Whether it cannot keep a secret: then PKCE is mandatory.
    pub public: bool,
    /// Where people may be sent back to.
    pub redirect_uris: Vec<String>,
    /// Who registered it.
    pub user_id: i64,
    /// When.
    pub created_at: Stamp,
    /// When it last changed.
    pub updated_at: Stamp,
}

/// What a person allowed, waiting to be exchanged.
#[derive(Clone, Debug)]
pub struct Code {
    /// The code itself.
    pub code: String,
    /// For which client.
    pub client_id: i64,
    /// Who allowed it.
    pub user_id: i64,
    /// What was allowed.
    pub scopes: Vec<String>,
    /// Where the person was sent back to.
    pub redirect_uri: String,
    /// S256 of the verifier, where the client sent one.
    pub challenge: Option<String>,
    /// When it ends.
    pub expires_at: Stamp,
    /// Whether it was exchanged.
    pub used: bool,
}

/// What a new token is to be.
pub struct NewToken {
    /// To which client, by its numeric id.
    pub client_id: i64,
    /// For whom.
    pub user_id: i64,
    /// For what.
    pub scopes: Vec<String>,
    /// Until when.
    pub expires_at: Option<Stamp>,
    /// Until when it may be renewed; none: not at all.
    pub refresh_expires_at: Option<Stamp>,
}

/// Every credential of the account.
#[derive(Default)]
pub struct Tokens {
    /// Tokens for Basic authentication as anyone.
    pub api: Vec<String>,
    /// Access tokens.
    pub oauth: Vec<Token>,
    /// OAuth clients; the first one comes with the account.
    pub clients: Vec<OauthClient>,
    /// Authorization codes.
    pub codes: Vec<Code>,
    /// How many tokens were made.
    pub made: u64,
    /// How many refreshes were granted.
    pub refreshes: u64,
    /// How many refreshes were refused.
    pub refused_refreshes: u64,
}

impl Tokens {
    /// The live access token of this secret.
    pub fn find(&self, secret: &str, now: Stamp) -> Option<&Token> {
        self.oauth
            .iter()
            .find(|token| token.secret == secret && !token.revoked && token.expires_at.is_none_or(|end| now < end))
    }

    /// The client of this identifier.
    pub fn client(&self, identifier: &str) -> Option<&OauthClient> {
        self.clients.iter().find(|client| client.identifier == identifier)
    }

    /// Takes a token back, with what renews it.
    pub fn revoke(&mut self, id: i64) -> bool {
        let token = self.oauth.iter_mut().find(|token| token.id == id && !token.revoked);
        token.map(|token| token.revoked = true).is_some()
    }
}

impl World {
    /// The first admin.
    pub fn admin_id(&self) -> i64 {
        let admin = |id: &&i64| self.users.get(id).is_some_and(|u| u.role == Role::Admin && u.active);
        self.index.agents.iter().find(admin).copied().unwrap_or_default()
    }

    /// A secret that nobody guesses.
    pub fn new_secret(&mut self) -> String {
        format!("{:032x}{:032x}", self.chance.random::<u128>(), self.chance.random::<u128>())
    }

    /// Makes an access token.
    pub fn new_token(&mut self, new: NewToken, now: Stamp) -> Token {
        let secret = self.new_secret();
        let refresh = new.refresh_expires_at.map(|_| self.new_secret());
        self.tokens.made += 1;
        let role = self.users.get(&new.user_id).map_or(Role::EndUser, |user| user.role);
        let token = Token {
            id: self.new_id(),
            secret,
            refresh,
            refresh_expires_at: new.refresh_expires_at,
            client_id: new.client_id,
            user_id: new.user_id,
            role,
            scopes: new.scopes,
            created_at: now,
            used_at: None,
            expires_at: new.expires_at,
            revoked: false,
        };
        self.tokens.oauth.push(token.clone());
        token
    }

    /// Registers a confidential OAuth client with nowhere to send people back to.
    pub fn new_client(&mut self, identifier: &str, name: &str, user_id: i64, now: Stamp) -> &mut OauthClient {
        let (id, secret) = (self.new_id(), self.new_secret());
        self.tokens.clients.push(OauthClient {
            id,
            identifier: identifier.to_owned(),
            name: name.to_owned(),
            company: None,
            description: None,
            secret,
            public: false,
            redirect_uris: Vec::new(),
            user_id,
            created_at: now,
            updated_at: now,
        });
        let last = self.tokens.clients.len() - 1;
        &mut self.tokens.clients[last]
    }
}
