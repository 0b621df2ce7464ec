//! Makes the tickets of the past by letting them happen, one after the other, at the times they happened.
use super::{names, texts};
use crate::acts::By;
use crate::acts::ticket_patch::{NewField, TicketPatch};
use crate::time::Stamp;
use crate::world::World;
use crate::world::rating::Score;
use crate::world::ticket::{Priority, Status, TicketType};
use crate::world::user::Role;
use rand::RngExt;
use serde_json::{Value, json};

/// Who is who while history is made.
struct Cast {
    customers: Vec<i64>,
    agents: Vec<i64>,
    end: Stamp,
}

/// Makes so many tickets within a span of time.
pub fn make_tickets(world: &mut World, count: usize, (start, end): (Stamp, Stamp)) {
    let living = |world: &World, customer: bool| -> Vec<i64> {
        let all = world.users.values().filter(|u| u.active && (u.role == Role::EndUser) == customer);
        all.map(|user| user.id).collect()
    };
    let cast = Cast { customers: living(world, true), agents: living(world, false), end };
    if cast.customers.is_empty() {
        return;
    }
    let mut times: Vec<_> = (0..count).map(|_| world.life.random_range(start.0..end.0 - 60)).collect();
    times.sort_unstable();
    for at in times {
        make_ticket(world, &cast, Stamp(at));
    }
}

fn make_ticket(world: &mut World, cast: &Cast, at: Stamp) {
    let requester = requester(world, cast, at);
    let locale = world.users.get(&requester).map_or_else(|| "en-US".into(), |user| user.locale.clone());
    let (patch, channel) = first_words(world, &locale, requester);
    let by = By { user_id: requester, channel };
    // A refusal only means one ticket fewer.
    let Ok(id) = world.create_ticket(by, at, patch) else { return };
    let agent = cast.agents[world.life.random_range(0..cast.agents.len())];
    let mut now = at;
    let steps = world.life.random_range(0..6);
    for step in 0..steps {
        now = now.plus(world.life.random_range(120..90_000));
        if now >= cast.end {
            return;
        }
        take_step(world, id, (requester, agent), now, step, &locale);
    }
    finish(world, cast, id, now, agent);
}

/// Somebody who was there already.
fn requester(world: &mut World, cast: &Cast, at: Stamp) -> i64 {
    let mut id = cast.customers[0];
    for _ in 0..6 {
        // Few write often, most write once.
        let share: f64 = world.life.random();
        let place = (share * share * cast.customers.len() as f64) as usize;
        id = cast.customers[place.min(cast.customers.len() - 1)];
        if world.users.get(&id).is_some_and(|user| user.created_at < at) {
            return id;
        }
    }
    if let Some(user) = world.users.get_mut(&id) {
        user.created_at = user.created_at.min(at.plus(-60));
    }
    id
}

/// What opens a ticket, and the channel it comes by.
pub fn first_words(world: &mut World, locale: &str, requester: i64) -> (TicketPatch, &'static str) {
    let (subject, body) = texts::opening(&mut world.life, locale);
    let mut patch = TicketPatch::saying(requester, &body, true);
    let rng = &mut world.life;
    patch.subject = Some(subject);
    patch.requester_id = Some(requester);
    patch.priority = rng.random_bool(0.6).then(|| Some(priority(rng.random_range(0..4))));
    patch.kind = rng.random_bool(0.4).then(|| {
        Some(
            [TicketType::Problem, TicketType::Incident, TicketType::Question, TicketType::Task][rng.random_range(0..4)],
        )
    });
    patch.tags = Some(texts::tags(rng));
    if rng.random_bool(0.15)
        && let Some(comment) = &mut patch.comment
    {
        comment.files = vec![names::pick(rng, &["photo 1.png", "rechnung.pdf", "写真.png"]).to_owned()];
    }
    if rng.random_bool(0.1) {
        patch.external_id = Some(Some(format!("case-{}", rng.random_range(1..1_000_000))));
    }
    let channel = ["web", "email", "email", "api", "chat", "voice"][rng.random_range(0..6)];
    if rng.random_bool(0.4) {
        patch.custom_fields = custom_fields(world);
    }
    (patch, channel)
}

/// One of the four priorities.
pub fn priority(place: usize) -> Priority {
    [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent][place % 4]
}

/// A few custom field values.
pub fn custom_fields(world: &mut World) -> Vec<NewField> {
    let values: [(&str, Value); 4] = [
        ("product", json!(["road_bike", "tent", "kayak"][world.life.random_range(0..3)])),
        ("order_number", json!(world.life.random_range(10_000..99_999).to_string())),
        ("refund", json!(world.life.random_bool(0.3))),
        ("amount", json!(format!("{}.50", world.life.random_range(1..900)))),
    ];
    let mut fields = Vec::new();
    for (key, value) in values {
        if let Some(id) =
            world.catalog.ticket_field_by_key(key).map(|def| def.id).filter(|_| world.life.random_bool(0.5))
        {
            fields.push(NewField { id, value });
        }
    }
    fields
}

fn take_step(world: &mut World, id: i64, (requester, agent): (i64, i64), now: Stamp, step: u32, locale: &str) {
    let by_agent = By { user_id: agent, channel: "web" };
    let by_customer = By { user_id: requester, channel: "email" };
    let (by, patch) = match world.life.random_range(0..10) {
        _ if step == 0 => {
            let group = world.users.get(&agent).and_then(|user| user.default_group_id);
            let patch = TicketPatch { assignee_id: Some(Some(agent)), group_id: Some(group), ..TicketPatch::default() };
            (by_agent, patch)
        }
        0..=3 => {
            let words = texts::answer(&mut world.life, locale);
            let status =
                [Status::Pending, Status::Pending, Status::Solved, Status::Hold][world.life.random_range(0..4)];
            (by_agent, TicketPatch::saying(agent, words, true).and_status(status))
        }
        4..=6 => (by_customer, TicketPatch::saying(requester, texts::reply(&mut world.life, locale), true)),
        7 => (by_agent, TicketPatch::saying(agent, texts::note(&mut world.life), false)),
        8 => {
            let priority = priority(world.life.random_range(0..4));
            let tags = texts::tags(&mut world.life);
            (by_agent, TicketPatch { priority: Some(Some(priority)), tags: Some(tags), ..TicketPatch::default() })
        }
        _ => (by_agent, TicketPatch { custom_fields: custom_fields(world), ..TicketPatch::default() }),
    };
    // A ticket that was solved meanwhile may refuse; nothing happens then.
    let _ = world.update_ticket(by, now, id, patch);
}

/// Solves, rates, closes, merges or deletes a ticket, as far as there is time for it.
fn finish(world: &mut World, cast: &Cast, id: i64, mut now: Stamp, agent: i64) {
    let by = By { user_id: agent, channel: "web" };
    let mut later = |world: &mut World, most: i64| {
        now = now.plus(world.life.random_range(60..most));
        (now < cast.end).then_some(now)
    };
    if world.life.random_bool(0.02) {
        let Some(at) = later(world, 86_400) else { return };
        // A refusal means that the ticket was gone already.
        let _ = world.delete_ticket(by, at, id);
        if world.life.random_bool(0.3)
            && let Some(at) = later(world, 86_400 * 30)
        {
            let _ = world.permanently_delete_ticket(by, at, id);
        }
        return;
    }
    if id > 2 && world.life.random_bool(0.01) {
        let Some(at) = later(world, 86_400) else { return };
        let words =
            [("Another request was merged into this one.", false), ("This request was closed and merged.", false)];
        // The other ticket's own history may reach further than this one's.
        if world.tickets.get(&(id - 1)).is_some_and(|other| other.generated < at) {
            let _ = world.merge_tickets(by, at, id, &[id - 1], words);
        }
    }
    if world.life.random_bool(0.25) {
        return;
    }
    let Some(at) = later(world, 86_400 * 3) else { return };
    let _ = world.update_ticket(by, at, id, TicketPatch { status: Some(Status::Solved), ..TicketPatch::default() });
    if world.life.random_bool(0.5) {
        let Some(at) = later(world, 86_400) else { return };
        let _ = world.rate(at, id, Score::Offered, None, 0);
        if world.life.random_bool(0.5) {
            let Some(at) = later(world, 86_400) else { return };
            rate(world, id, at);
        }
    }
    if let Some(at) = later(world, 86_400 * 5).map(|at| at.plus(4 * 86_400)).filter(|at| *at < cast.end) {
        let _ = world.close_ticket(at, id);
    }
}

/// A customer gives a rating.
pub fn rate(world: &mut World, id: i64, at: Stamp) {
    let good = world.life.random_bool(0.8);
    let words = texts::verdict(&mut world.life, good);
    let reason = world.life.random_range(0..4);
    let score = if good { Score::Good } else { Score::Bad };
    // A refusal means that the ticket is gone.
    let _ = world.rate(at, id, score, words, reason);
}

/// Lets a few of those who wrote tickets go: some are deleted, some turn out to be somebody else.
pub fn retire(world: &mut World, end: Stamp) {
    let admin = By { user_id: -1, channel: "web" };
    let mut authors: Vec<_> = world.tickets.values().map(|ticket| (ticket.requester_id, ticket.generated)).collect();
    authors.sort_unstable();
    authors.dedup_by_key(|(id, _)| *id);
    // Every merge looks at every ticket, so a large account has a bounded number.
    let merges = (authors.len() / 100).min(200);
    for n in 0..authors.len() / 40 {
        let (id, _) = authors[world.life.random_range(0..authors.len())];
        let (other, _) = authors[world.life.random_range(0..authors.len())];
        let at = end.plus(-world.life.random_range(0..3_600));
        // Whoever is gone already stays gone.
        let done = match n < merges {
            true => world.merge_users(admin, end, id, other),
            false => world.delete_user(admin, at, id),
        };
        if done.is_ok() {
            for id in if n < merges { vec![id, other] } else { vec![id] } {
                if let Some(user) = world.users.get_mut(&id) {
                    user.updated_at = if n < merges { end } else { at };
                }
            }
        }
    }
}
