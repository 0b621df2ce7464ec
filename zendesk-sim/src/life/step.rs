//! One act of life: somebody does something that people do.
use super::{history, names, texts};
use crate::acts::organizations::OrganizationPatch;
use crate::acts::ticket_patch::TicketPatch;
use crate::acts::users::UserPatch;
use crate::acts::{By, Refusal};
use crate::time::Stamp;
use crate::world::World;
use crate::world::audit::EventKind;
use crate::world::rating::Score;
use crate::world::ticket::{Gone, Status, Ticket, TicketType};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

/// After how long a solved ticket closes by itself.
const CLOSES_AFTER: i64 = 4 * 86_400;

/// Lets one thing happen.
pub fn act(world: &mut World, now: Stamp) {
    for _ in 0..20 {
        let roll = world.life.random_range(0..100);
        if attempt(world, now, roll).is_ok() {
            return;
        }
    }
}

fn attempt(world: &mut World, now: Stamp, roll: u32) -> Result<(), Refusal> {
    match roll {
        0..12 => new_customer(world, now),
        12..30 => new_ticket(world, now),
        30..44 => reply(world, now),
        44..58 => answer(world, now),
        58..62 => note(world, now),
        62..70 => tidy(world, now),
        70..75 => rate(world, now),
        75..80 => close(world, now),
        80..93 => change_customer(world, now, roll),
        93..96 => organization(world, now, roll),
        _ => end_something(world, now, roll),
    }
}

fn customer(world: &mut World) -> Result<i64, Refusal> {
    let all = world.index.customers.len().max(1);
    let place = world.life.random_range(0..all);
    let id = world.index.customers.get(place).copied().ok_or(Refusal::NotFound)?;
    let able = world.users.get(&id).is_some_and(|user| user.active && !user.suspended);
    able.then_some(id).ok_or(Refusal::NotFound)
}

fn agent(world: &mut World) -> Result<By, Refusal> {
    let all = world.index.agents.len().max(1);
    let place = world.life.random_range(0..all);
    let id = world.index.agents.get(place).copied().ok_or(Refusal::NotFound)?;
    let able = world.users.get(&id).is_some_and(|user| user.active);
    able.then_some(By { user_id: id, channel: "web" }).ok_or(Refusal::NotFound)
}

/// A ticket of the last few hundred that is as wanted.
fn ticket(world: &mut World, wanted: impl Fn(&Ticket) -> bool) -> Result<i64, Refusal> {
    let last = world.tickets.keys().next_back().copied().ok_or(Refusal::NotFound)?;
    for _ in 0..40 {
        let back = world.life.random_range(0..last.min(400));
        if let Some(found) = world.tickets.get(&(last - back)).filter(|t| t.gone == Gone::No && wanted(t)) {
            return Ok(found.id);
        }
    }
    Err(Refusal::NotFound)
}

fn locale(world: &World, id: i64) -> String {
    world.users.get(&id).map_or_else(|| "en-US".into(), |user| user.locale.to_string())
}

fn new_customer(world: &mut World, now: Stamp) -> Result<(), Refusal> {
    let culture = names::culture(&mut world.life);
    let rng = &mut world.life;
    let phone = names::phone(rng, culture);
    let number = rng.random_range(1_000_000..9_999_999);
    let proper = names::proper(rng, culture);
    let email = rng.random_bool(0.8).then(|| names::email(rng, &proper, number));
    let name = names::customer(rng, culture, &proper, email.as_deref(), &phone);
    let patch = UserPatch {
        name: Some(name),
        email: email.map(Some),
        phone: rng.random_bool(0.3).then_some(Some(phone)),
        locale: Some(culture.locale.to_owned()),
        time_zone: Some(culture.zones[0].to_owned()),
        ..UserPatch::default()
    };
    let by = agent(world)?;
    world.create_user(by, now, patch).map(|_| ())
}

fn new_ticket(world: &mut World, now: Stamp) -> Result<(), Refusal> {
    let requester = customer(world)?;
    let locale = locale(world, requester);
    let (patch, channel) = history::first_words(world, &locale, requester);
    world.create_ticket(By { user_id: requester, channel }, now, patch).map(|_| ())
}

fn reply(world: &mut World, now: Stamp) -> Result<(), Refusal> {
    let id = ticket(world, |ticket| ticket.status != Status::Closed)?;
    let requester = world.tickets[&id].requester_id;
    if world.users.get(&requester).is_none_or(|user| !user.active || user.suspended) {
        return Err(Refusal::NotFound);
    }
    let locale = locale(world, requester);
    let words = texts::reply(&mut world.life, &locale);
    world.update_ticket(
        By { user_id: requester, channel: "email" },
        now,
        id,
        TicketPatch::saying(requester, words, true),
    )
}

fn answer(world: &mut World, now: Stamp) -> Result<(), Refusal> {
    let id = ticket(world, |ticket| matches!(ticket.status, Status::New | Status::Open))?;
    let by = agent(world)?;
    let locale = locale(world, world.tickets[&id].requester_id);
    let words = texts::answer(&mut world.life, &locale);
    let status = [Status::Pending, Status::Solved, Status::Open, Status::Hold][world.life.random_range(0..4)];
    let mut patch = TicketPatch::saying(by.user_id, words, true).and_status(status);
    if world.tickets[&id].assignee_id.is_none() {
        patch.assignee_id = Some(Some(by.user_id));
    }
    world.update_ticket(by, now, id, patch)
}

fn note(world: &mut World, now: Stamp) -> Result<(), Refusal> {
    let id = ticket(world, |ticket| ticket.status < Status::Solved)?;
    let by = agent(world)?;
    let words = texts::note(&mut world.life);
    world.update_ticket(by, now, id, TicketPatch::saying(by.user_id, words, false))
}

fn tidy(world: &mut World, now: Stamp) -> Result<(), Refusal> {
    let id = ticket(world, |ticket| ticket.status < Status::Solved)?;
    let by = agent(world)?;
    let priority = history::priority(world.life.random_range(0..4));
    let mut patch = TicketPatch::default();
    match world.life.random_range(0..14) {
        5 => patch.subject = Some(texts::opening(&mut world.life, "en-US").0),
        6 => patch.kind = Some(Some(TicketType::Problem)),
        7 => patch.group_id = Some(world.catalog.groups.get(world.life.random_range(0..4)).map(|group| group.id)),
        8 => patch.email_ccs = Some(vec![customer(world)?]),
        9 => patch.followers = Some(vec![by.user_id]),
        10 => patch.external_id = Some(Some(format!("case-{}", world.life.random_range(1..1_000_000)))),
        11 => patch.problem_id = Some(Some(ticket(world, |other| other.id != id)?)),
        12 => patch.due_at = Some(Some(now.plus(86_400).to_string())),
        13 => patch.custom_status_id = world.catalog.statuses.get(5).map(|status| status.0),
        0 => patch.priority = Some(Some(priority)),
        1 => patch.tags = Some(texts::tags(&mut world.life)),
        2 => patch.assignee_id = Some(Some(by.user_id)),
        3 => patch.custom_fields = history::custom_fields(world),
        _ => patch.status = Some(Status::Solved),
    }
    world.update_ticket(by, now, id, patch)
}

fn rate(world: &mut World, now: Stamp) -> Result<(), Refusal> {
    let id = ticket(world, |ticket| ticket.status == Status::Solved)?;
    if world.tickets[&id].rating_id.is_none() {
        return world.rate(now, id, Score::Offered, None, 0).map(|_| ());
    }
    history::rate(world, id, now);
    Ok(())
}

fn close(world: &mut World, now: Stamp) -> Result<(), Refusal> {
    let id = ticket(world, |t| t.status == Status::Solved && t.updated_at.plus(CLOSES_AFTER) < now)?;
    world.close_ticket(now, id)
}

fn change_customer(world: &mut World, now: Stamp, roll: u32) -> Result<(), Refusal> {
    let id = customer(world)?;
    let by = agent(world)?;
    let culture = names::culture(&mut world.life);
    let rng = &mut world.life;
    let proper = names::proper(rng, culture);
    let number = rng.random_range(1_000_000..9_999_999);
    let mut patch = UserPatch::default();
    match roll {
        80 | 81 => patch.name = Some(proper),
        82 | 83 => {
            let email = names::email(rng, &proper, number);
            return world.change_email(By { user_id: id, channel: "web" }, now, id, &email);
        }
        84 => patch.phone = Some(Some(names::phone(rng, culture))),
        85 | 86 => patch.tags = Some(texts::tags(rng)),
        87 | 88 => {
            let tier = ["tier_bronze", "tier_silver", "tier_gold"][rng.random_range(0..3)];
            patch.user_fields = Some([("tier".to_owned(), json!(tier))].into());
        }
        89 => patch.user_fields = Some([("newsletter".to_owned(), json!(rng.random_bool(0.5)))].into()),
        90 => patch.external_id = Some(Some(format!("crm-{number}"))),
        91 => patch.locale = Some(culture.locale.to_owned()),
        92 if rng.random_bool(0.7) => patch.signs_in = true,
        _ => patch.suspended = Some(true),
    }
    if rng.random_bool(0.25) {
        patch = rare_change(rng, culture);
    }
    world.update_user(by, now, id, patch)
}

/// A change that people make now and then.
fn rare_change(rng: &mut ChaCha8Rng, culture: &names::Culture) -> UserPatch {
    let words = Some(Some(texts::note(rng).to_owned()));
    match rng.random_range(0..5) {
        0 => UserPatch { notes: words, ..UserPatch::default() },
        1 => UserPatch { details: words, ..UserPatch::default() },
        2 => UserPatch { alias: Some(Some(names::proper(rng, culture))), ..UserPatch::default() },
        3 => UserPatch { time_zone: Some(culture.zones[1].to_owned()), ..UserPatch::default() },
        _ => UserPatch { remote_photo_url: Some("https://acme.example/me.png".into()), ..UserPatch::default() },
    }
}

fn organization(world: &mut World, now: Stamp, roll: u32) -> Result<(), Refusal> {
    let by = agent(world)?;
    let number = world.life.random_range(1_000..9_999_999);
    let name =
        format!("{} {number}", names::pick(&mut world.life, &["Fjord Travel", "Café Luz", "Grün & Co", "Zephyr"]));
    let mut patch = OrganizationPatch { name: Some(name), ..OrganizationPatch::default() };
    let live: Vec<_> = world.index.organization_names.values().copied().collect();
    let chosen = live.iter().min_by_key(|id| ((**id * 31 + number) % 1_009, **id)).copied();
    match (roll, chosen) {
        (94, Some(id)) => {
            match world.life.random_range(0..5) {
                0 => patch.name = None,
                1 => patch.external_id = Some(Some(format!("ORG-{number}"))),
                2 => patch.organization_fields = Some([("seats".to_owned(), json!(number % 500))].into()),
                _ => {}
            }
            patch.tags = world.life.random_bool(0.4).then(|| texts::tags(&mut world.life));
            world.update_organization(by, now, id, patch)
        }
        (95, Some(id)) if live.len() > 5 => world.delete_organization(by, now, id),
        _ => {
            let id = world.create_organization(by, now, patch)?;
            let member = UserPatch { organization_id: Some(Some(id)), ..UserPatch::default() };
            let customer = customer(world)?;
            world.update_user(by, now, customer, member)
        }
    }
}

fn end_something(world: &mut World, now: Stamp, roll: u32) -> Result<(), Refusal> {
    let by = agent(world)?;
    match (roll, world.life.random_range(0..4)) {
        (96, 3) => {
            let gone = world.tickets.values().rev().take(2_000).find(|t| t.gone == Gone::Deleted).map(|t| t.id);
            world.restore_ticket(by, now, gone.ok_or(Refusal::NotFound)?)
        }
        (96, 0) => {
            let id = ticket(world, |_| true)?;
            world.delete_ticket(by, now, id)
        }
        (96, 1) => {
            let gone = world.tickets.values().rev().take(2_000).find(|t| t.gone == Gone::Deleted).map(|t| t.id);
            world.permanently_delete_ticket(by, now, gone.ok_or(Refusal::NotFound)?)
        }
        (96, _) => {
            let id = ticket(world, |ticket| ticket.status == Status::New)?;
            world.mark_as_spam(by, now, id)
        }
        (97, 0 | 1) => redact(world, by, now),
        (97, _) => {
            let (source, target) =
                (ticket(world, |t| t.status < Status::Closed)?, ticket(world, |t| t.status < Status::Closed)?);
            world.merge_tickets(
                by,
                now,
                target,
                &[source],
                [("A request was merged into this one.", false), ("Merged.", false)],
            )
        }
        (98, 0) => {
            let gone = world.users.values().find(|u| !u.active && !u.permanently_deleted && u.merged_into.is_none());
            let id = gone.map(|user| user.id).ok_or(Refusal::NotFound)?;
            world.permanently_delete_user(by, now, id)
        }
        (98, _) => {
            let (loser, winner) = (customer(world)?, customer(world)?);
            world.merge_users(by, now, loser, winner)
        }
        _ => {
            let id = customer(world)?;
            world.delete_user(by, now, id)
        }
    }
}

fn redact(world: &mut World, by: By, now: Stamp) -> Result<(), Refusal> {
    let id = ticket(world, |ticket| ticket.status != Status::Closed)?;
    let events = world.tickets[&id].audits.iter().flat_map(|audit| &audit.events);
    let mut comments = events.filter_map(|event| match &event.kind {
        EventKind::Comment(comment) => Some((event.id, comment.attachments.first().map(|file| file.id))),
        _ => None,
    });
    let (comment, file) = comments.next_back().ok_or(Refusal::NotFound)?;
    match (world.life.random_range(0..3), file) {
        (_, Some(file)) => world.redact_attachment(by, now, id, comment, file),
        (0, None) => world.make_private(by, now, id, comment),
        _ => world.redact_comment(by, now, id, comment, ""),
    }
}
