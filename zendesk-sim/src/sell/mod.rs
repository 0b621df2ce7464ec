//! A simulated Zendesk Sell: its contacts, on an address of their own (Z§9). Nothing is shared with the Support account.
mod contact;
mod contacts;
mod oauth;
mod problem;

use crate::http::faults::Fault;
use crate::http::{Reply, Req};
use crate::life::names;
use crate::options::Options;
use crate::time::Stamp;
use contact::Contact;
use problem::Problem;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// Everything Sell has.
pub struct Desk {
    /// Contacts by id.
    contacts: BTreeMap<i64, Contact>,
    /// The settings.
    settings: crate::options::Sell,
    keys: oauth::Keys,
    /// Requests of each token in its present hour, and in its present second.
    spent: HashMap<String, [(i64, usize); 2]>,
    chance: ChaCha8Rng,
    next_id: i64,
    owner_id: i64,
}

impl Desk {
    /// A desk with made-up contacts.
    pub fn new(options: &Options, now: Stamp) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(options.seed ^ 0x5e11);
        let keys = oauth::Keys::new(&mut chance);
        let settings = options.sell.clone();
        let owner_id = 2_000_001;
        let mut desk = Self {
            contacts: BTreeMap::new(),
            settings,
            keys,
            spent: HashMap::new(),
            chance,
            next_id: 300_000_000,
            owner_id,
        };
        for number in 0..desk.settings.contacts {
            desk.make_up(number, now.plus(-(number as i64) * 3_600));
        }
        desk
    }

    fn make_up(&mut self, number: usize, at: Stamp) {
        let culture = names::culture(&mut self.chance);
        let name = names::proper(&mut self.chance, culture);
        let email = names::email(&mut self.chance, &name, number);
        let (first, last) = name.rsplit_once(' ').map_or((None, name.as_str()), |(first, last)| (Some(first), last));
        let given = json!({"first_name": first, "last_name": last, "email": email});
        // Made-up names and addresses are always valid.
        let _ = self.create(&given, at);
    }

    /// What a client has to know.
    pub fn about(&self, url: &str) -> Value {
        json!({"listening": url, "token": self.keys.personal, "client_id": self.keys.client_id,
            "client_secret": self.keys.client_secret})
    }

    /// The truth, for the admin door.
    pub fn truth(&self, req: &Req) -> Reply {
        crate::admin::truth::page(req, &self.contacts, Contact::as_json)
    }

    /// Answers a request that a fault may have struck; `malformed` says that its body is no JSON, `limited` whether limits hold.
    pub fn answer(&mut self, req: &Req, malformed: bool, struck: Fault, limited: bool, now: Stamp) -> Reply {
        let logref = format!("{:032x}", self.chance.random::<u128>());
        let parts = req.slices();
        let reply = match struck {
            Fault::Instead(reply) => Problem::instead(reply, &logref),
            Fault::TooMany => Problem::too_many().reply(&logref),
            _ if parts.first() == Some(&"oauth2") => self.grant(req, &parts[1..], now),
            _ => self.guarded(req, &parts, malformed, limited, now).unwrap_or_else(|problem| problem.reply(&logref)),
        };
        reply.with("x-request-id", logref)
    }

    fn guarded(
        &mut self,
        req: &Req,
        parts: &[&str],
        malformed: bool,
        limited: bool,
        now: Stamp,
    ) -> Result<Reply, Problem> {
        if req.header("user-agent").is_none_or(|agent| agent.trim().is_empty()) {
            return Err(Problem::request(400, "User-Agent", "invalid_user_agent", "User-Agent header is missing"));
        }
        let bearer = req.header("authorization").and_then(|text| text.split_once(' '));
        let secret =
            bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, secret)| secret.trim());
        let scopes = secret.and_then(|secret| self.keys.scopes(secret, now));
        let (Some(secret), Some(scopes)) = (secret, scopes) else { return Err(Problem::unauthorized()) };
        if limited {
            self.spend(secret, now)?;
        }
        let verb = if req.method == "GET" { "read" } else { "write" };
        if !scopes.split(' ').any(|scope| scope == verb) {
            return Err(Problem::request(403, "scope", "insufficient_scope", "The token's scope does not reach this"));
        }
        if malformed {
            return Err(Problem::request(400, "body", "invalid_payload", "The body is not valid JSON"));
        }
        match parts {
            ["v2", "contacts", rest @ ..] => self.contacts(req, rest, now),
            ["v2", "contact", "custom_fields"] if req.method == "GET" => Ok(self.custom_fields()),
            _ => Err(Problem::not_found("resource")),
        }
    }

    /// Takes a request from its token's hour and second; no header tells what is left.
    fn spend(&mut self, secret: &str, now: Stamp) -> Result<(), Problem> {
        let spans = [(3_600, self.settings.hourly), (1, self.settings.per_second)];
        let spent = self.spent.entry(secret.to_owned()).or_default();
        for (spent, (seconds, most)) in spent.iter_mut().zip(spans) {
            let span = now.0.div_euclid(seconds);
            if spent.0 != span {
                *spent = (span, 0);
            }
            if spent.1 >= most {
                return Err(Problem::too_many());
            }
            spent.1 += 1;
        }
        Ok(())
    }
}
