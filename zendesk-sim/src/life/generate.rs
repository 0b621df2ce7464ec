//! Makes a whole account out of a seed: people, organizations, credentials, and then history.
use super::{history, names};
use crate::acts::{end_users, organizations, users};
use crate::options::Options;
use crate::time::Stamp;
use crate::world::World;
use crate::world::tokens::NewToken;
use crate::world::user::{Identity, Membership, Role, User};
use rand::RngExt;
use serde_json::{Value, json};

/// How long before the start everything has happened.
const SETTLED: i64 = 180;

/// Fills an empty account.
pub fn furnish(world: &mut World, options: &Options, now: Stamp) {
    world.quiet = true;
    let end = now.plus(-SETTLED);
    let start = end.plus(-options.history_days * 86_400);
    make_agents(world, options.agents, start);
    make_organizations(world, options.organizations, start, end);
    let organization_ids: Vec<_> = world.organizations.keys().copied().collect();
    make_customers(world, options.users, &organization_ids, (start, end));
    history::make_tickets(world, options.tickets, (start, end));
    history::retire(world, end);
    world.quiet = false;
    world.reindex();
    make_credentials(world, now);
}

fn make_credentials(world: &mut World, now: Stamp) {
    let word = |world: &mut World, length: usize| -> String {
        let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        (0..length).map(|_| char::from(letters[world.chance.random_range(0..letters.len())])).collect()
    };
    let token = word(world, 40);
    world.tokens.api.push(token);
    let (admin, secret) = (world.admin_id(), word(world, 64));
    let identifier = format!("deskbridge_{}", world.subdomain);
    let client = world.new_client(&identifier, "Deskbridge", admin, now);
    client.secret = secret;
    client.redirect_uris = ["localhost", "127.0.0.1"].map(|host| format!("http://{host}:9090/oauth/callback")).into();
    let (client_id, scopes) = (client.id, vec!["read".to_owned(), "write".to_owned()]);
    world.new_token(NewToken { client_id, user_id: admin, scopes, expires_at: None, refresh_expires_at: None }, now);
}

fn make_agents(world: &mut World, count: usize, start: Stamp) {
    for number in 0..count {
        let culture = names::culture(&mut world.life);
        let name = names::proper(&mut world.life, culture);
        let id = world.new_id();
        let made = start.plus(-86_400 * 200 + number as i64 * 3_600);
        let mut user = users::blank_user(id, 0, &name, made);
        let email = if number == 0 { "admin@acme.example".to_owned() } else { format!("agent{number}@acme.example") };
        user.role = if number < 2 { Role::Admin } else { Role::Agent };
        user.locale = culture.locale.into();
        user.time_zone = culture.zones[0].into();
        user.default_group_id = Some(world.catalog.groups[number % world.catalog.groups.len()].id);
        user.last_login_at = Some(start);
        user.has_photo = number % 3 == 0;
        user.verified = true;
        give_email(world, &mut user, &email, true);
        world.users.insert(id, user);
        world.index.agents.push(id);
    }
}

fn make_organizations(world: &mut World, count: usize, start: Stamp, end: Stamp) {
    const FIRST: &[&str] =
        &["Nordwind", "Blue Heron", "São Bento", "Käsehof", "Tsubame", "Élan", "Вектор", "Quartz & Sons", "Río Alto"];
    const LAST: &[&str] =
        &["Outdoor", "GmbH", "Ltda.", "Trading", "S.A.", "Logistics", "Cooperative", "Holding", "株式会社"];
    for number in 0..count {
        let id = world.new_id();
        let base = format!("{} {}", names::pick(&mut world.life, FIRST), names::pick(&mut world.life, LAST));
        let name = if number < 20 && world.life.random_bool(0.3) {
            format!("{base} {number}")
        } else {
            format!("{base} #{number}")
        };
        let made = start.plus(world.life.random_range(-86_400 * 100..(end.0 - start.0) / 2));
        let mut organization = organizations::blank(id, 0, &name, made);
        organization.updated_at = Stamp(world.life.random_range(made.0..end.0));
        if world.life.random_bool(0.4) {
            organization.external_id = Some(format!("ORG-{number:05}"));
        }
        if world.life.random_bool(0.5) {
            organization.domain_names = vec![format!("org{number}.example")];
        }
        organization.tags = super::texts::tags(&mut world.life);
        if world.life.random_bool(0.5) {
            organization.fields.insert("seats".into(), world.life.random_range(1..500).into());
            organization.fields.insert("industry".into(), "retail".into());
        }
        if world.life.random_bool(0.02) {
            organization.deleted_at = Some(organization.updated_at);
        }
        world.organizations.insert(id, organization);
    }
}

/// The second a user was made and last changed; imports make many in one second.
struct Moments {
    range: (Stamp, Stamp),
    batch: Option<(Stamp, usize)>,
}

impl Moments {
    fn next(&mut self, world: &mut World) -> (Stamp, Stamp) {
        if let Some((at, left)) = self.batch.take() {
            if left > 1 {
                self.batch = Some((at, left - 1));
            }
            return (at, at);
        }
        let (start, end) = self.range;
        let at = Stamp(world.life.random_range(start.0 - 86_400 * 300..end.0));
        if world.life.random_bool(0.04) {
            self.batch = Some((at, world.life.random_range(2..19)));
        }
        let changed = world.life.random_bool(0.6);
        let later = if changed { Stamp(world.life.random_range(at.0..end.0)) } else { at };
        (at, later)
    }
}

fn make_customers(world: &mut World, count: usize, organizations: &[i64], range: (Stamp, Stamp)) {
    let mut moments = Moments { range, batch: None };
    let mut freed = Vec::new();
    for number in 0..count {
        let (made, changed) = moments.next(world);
        let mut user = make_customer(world, number, made, &mut freed);
        user.updated_at = changed;
        if let Some(place) = place_of(world, organizations) {
            user.organization_id = Some(place);
            let id = world.new_id();
            user.memberships.push(Membership { id, organization_id: place, created_at: made });
        }
        user.suspended = world.life.random_bool(0.01);
        if world.life.random_bool(0.05) {
            end(world, &mut user, &mut freed);
        }
        world.index.customers.push(user.id);
        world.users.insert(user.id, user);
    }
    world.index.customers.clear();
    world.index.agents.clear();
    world.index.emails.clear();
}

fn place_of(world: &mut World, organizations: &[i64]) -> Option<i64> {
    if organizations.is_empty() || !world.life.random_bool(0.45) {
        return None;
    }
    let id = organizations[world.life.random_range(0..organizations.len())];
    world.organizations.get(&id).filter(|o| o.deleted_at.is_none()).map(|_| id)
}

fn make_customer(world: &mut World, number: usize, made: Stamp, freed: &mut Vec<String>) -> User {
    let culture = names::culture(&mut world.life);
    let id = world.new_id();
    let rng = &mut world.life;
    let phone = names::phone(rng, culture);
    let proper = names::proper(rng, culture);
    let email = match rng.random_range(0..1000) {
        0..250 => None,
        250 => Some("not an address".to_owned()),
        251..300 if !freed.is_empty() => freed.pop(),
        _ => Some(names::email(rng, &proper, number)),
    };
    let name = names::customer(rng, culture, &proper, email.as_deref(), &phone);
    let mut user = users::blank_user(id, 0, &name, made);
    user.locale = if rng.random_bool(0.7) { culture.locale.into() } else { "en-US".into() };
    user.time_zone = culture.zones[usize::from(rng.random_bool(0.3))].into();
    if rng.random_bool(0.35) {
        user.external_id = Some(format!("{}{number:06}", ["CRM-", "shop_", "c"][rng.random_range(0..3)]));
    }
    // Users made on the web have empty texts where users made by the API have nulls.
    if rng.random_bool(0.5) {
        (user.alias, user.details, user.notes) = (Some(String::new()), Some(String::new()), Some(String::new()));
    }
    if rng.random_bool(0.05) {
        user.notes = Some("Prefers phone\r\ncalls after 17:00".into());
    }
    user.tags = if rng.random_bool(0.3) { super::texts::tags(rng) } else { Vec::new() };
    user.has_photo = rng.random_bool(0.02);
    user.last_login_at = rng.random_bool(0.2).then_some(made);
    let with_phone = rng.random_bool(0.3);
    let shared = rng.random_bool(0.2);
    give_fields(world, &mut user);
    if let Some(email) = email {
        let verified = world.life.random_bool(0.6);
        give_email(world, &mut user, &email, verified);
        if world.life.random_bool(0.04) {
            give_email(world, &mut user, &format!("second{number}@example.org"), false);
        }
    }
    if with_phone {
        let id = world.new_id();
        user.phone = Some(phone.clone());
        user.shared_phone = Some(shared);
        if !shared {
            user.identities.push(identity(id, "phone_number", &phone, true, false, made));
        }
    }
    user
}

fn give_fields(world: &mut World, user: &mut User) {
    let rng = &mut world.life;
    if rng.random_bool(0.7) {
        return;
    }
    let values: [(&str, Value); 7] = [
        ("tier", ["tier_bronze", "tier_silver", "tier_gold"][rng.random_range(0..3)].into()),
        ("newsletter", rng.random_bool(0.5).into()),
        (
            "birthday",
            format!("19{}-0{}-1{}T00:00:00Z", rng.random_range(50..99), rng.random_range(1..9), rng.random_range(0..9))
                .into(),
        ),
        ("lifetime_value", json!(f64::from(rng.random_range(0..1_000_000)) / 100.0)),
        ("orders_count", rng.random_range(0..80).into()),
        ("interests", json!(["bikes", "tents"])),
        ("nickname", "Max & Mo".into()),
    ];
    for (key, value) in values {
        if rng.random_bool(0.3) {
            user.fields.insert(key.to_owned(), value);
        }
    }
}

fn identity(id: i64, kind: &'static str, value: &str, primary: bool, verified: bool, at: Stamp) -> Identity {
    Identity { id, kind: kind.into(), value: value.to_owned(), verified, primary, created_at: at, updated_at: at }
}

fn give_email(world: &mut World, user: &mut User, email: &str, verified: bool) {
    let lower = email.to_lowercase();
    // "not an address" is held by many; everything else by one living user.
    if email.contains('@') && world.index.emails.contains_key(&lower) {
        return;
    }
    world.index.emails.insert(lower, user.id);
    let id = world.new_id();
    let primary = user.email.is_none();
    user.identities.push(identity(id, "email", email, primary, verified, user.created_at));
    user.verified |= verified;
    if primary {
        user.email = Some(email.to_owned());
    }
}

/// Deletes a user of the past, freeing the address for somebody else.
fn end(world: &mut World, user: &mut User, freed: &mut Vec<String>) {
    for identity in user.identities.drain(..).filter(|i| i.kind == "email" && i.value.contains('@')) {
        world.index.emails.remove(&identity.value.to_lowercase());
        freed.push(identity.value);
    }
    user.active = false;
    user.organization_id = None;
    user.memberships.clear();
    (user.phone, user.shared_phone) = (None, None);
    if world.life.random_bool(0.15) {
        end_users::erase(user);
    }
}

/// Makes more customers in the present, all in this second, without telling any webhook: a bulk import.
pub fn more_customers(world: &mut World, count: usize, now: Stamp) {
    let first = world.users.len();
    for number in 0..count {
        let user = make_customer(world, first + number + 1_000_000, now, &mut Vec::new());
        let id = user.id;
        if let Some(external) = &user.external_id {
            world.index.user_external.insert(external.to_lowercase(), id);
        }
        world.index.customers.push(id);
        world.users.insert(id, user);
        world.touch_user(id, now);
    }
    world.note(now, "bulk_users", format!("{count} customers were imported"), None, None);
}
