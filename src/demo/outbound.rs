//! The way back: an audience, an activation that writes into the simulated Zendesk whom it holds for, and one person's journey.

use super::compare::delivered::Members;
use super::outcome::DemoError;
use super::stage::{Stage, pause};
use super::words::{number, plain, say};
use crate::clock::Clock;
use crate::db;
use crate::pipeline::{activate, audience};
use crate::rules;
use serde_json::Value;

/// The audience.
const AUDIENCE: &str = include_str!("files/unhappy.toml");

/// The activation.
const ACTIVATION: &str = include_str!("files/support-health.toml");

/// Name of the audience.
const UNHAPPY: &str = "unhappy";

/// Name of the activation.
const SUPPORT_HEALTH: &str = "support-health";

/// Real seconds that deliveries have.
const PATIENCE_SECS: u64 = 60;

/// Defines both, once, and waits until the first members' fields are written.
pub async fn begin(stage: &Stage) -> Result<(), DemoError> {
    let (ctx, workspace) = (stage.ctx(), stage.source.workspace_id);
    let written: Value = toml::from_str(AUDIENCE).map_err(|error| DemoError::Example(error.to_string()))?;
    let definition = rules::audience::define(&written).map_err(|error| DemoError::Example(error.to_string()))?;
    audience::apply(ctx, workspace, &definition).await?;
    let activation =
        rules::activation::read::read(ACTIVATION).map_err(|error| DemoError::Example(error.to_string()))?;
    activate::manage::prepare(ctx, workspace, &activation, true).await?;
    activate::manage::apply(ctx, workspace, &activation).await?;
    stage.daemon.wake.notify_one();
    let left = settle(stage).await?;
    let state = state(stage).await?;
    say(format_args!(
        "\nAudience {UNHAPPY}: {} ({} people). Activation {SUPPORT_HEALTH} writes into their user fields in Zendesk: \
         {} delivered{}.",
        definition.title,
        number(state.members.inside.len() as i64),
        number(state.delivered),
        left.map(|left| format!(" ({left})")).unwrap_or_default(),
    ));
    journey(stage, &state).await
}

/// What has become of the activation.
pub struct State {
    /// Whom it holds for, and who left.
    pub members: Members,
    /// Records that Zendesk confirmed.
    pub delivered: i64,
    /// Records of which nobody knows whether they were written.
    pub unknown: i64,
}

/// Asks how it stands.
pub async fn state(stage: &Stage) -> Result<State, DemoError> {
    let mut db = stage.ctx().pool.acquire().await?;
    let workspace = stage.source.workspace_id;
    let stays = db::journey::stays(&mut db, workspace, UNHAPPY).await?;
    let mut members = Members::default();
    for (person, inside) in stays {
        if inside { &mut members.inside } else { &mut members.left }.insert(person);
    }
    let (delivered, unknown) = db::journey::deliveries(&mut db, workspace, SUPPORT_HEALTH).await?;
    Ok(State { members, delivered, unknown })
}

/// Waits until all that changed was delivered. Answers what is left, if time runs out.
pub async fn settle(stage: &Stage) -> Result<Option<String>, DemoError> {
    let begun = Clock::system();
    loop {
        let mut db = stage.ctx().pool.acquire().await?;
        let now = stage.ctx().clock.now();
        let left = db::journey::undelivered(&mut db, stage.source.workspace_id, now).await?;
        drop(db);
        if left == 0 {
            return Ok(None);
        }
        if begun.monotonic().as_secs() > PATIENCE_SECS {
            return Ok(Some(format!("{} changes wait to be delivered", number(left))));
        }
        pause(100).await;
    }
}

/// Ticket → activity → audience → field in Zendesk, of the member who entered last.
async fn journey(stage: &Stage, state: &State) -> Result<(), DemoError> {
    let mut db = stage.ctx().pool.acquire().await?;
    let Some(steps) =
        db::journey::latest(&mut db, stage.ids(), UNHAPPY, SUPPORT_HEALTH, stage.ctx().clock.now()).await?
    else {
        say(match state.members.inside.is_empty() {
            true => "Nobody is in it yet; whoever will be is followed.",
            false => "No member's field is written yet.",
        });
        return Ok(());
    };
    drop(db);
    let user = stage.zendesk.door.get(&format!("state/users?id={}", steps.record_id)).await?;
    let fields = &user["fields"];
    say(format_args!("\nOne person's journey, {} ({}):", steps.person_id, plain(&steps.name)));
    say(format_args!(
        "  ticket     #{} “{}”, {}",
        steps.ticket_id,
        plain(&steps.subject),
        steps.ticket_at.format("%Y-%m-%d %H:%M")
    ));
    say(format_args!(
        "  activity   zd.ticket.created, the {} of {} within 30 days; last rating bad",
        ordinal(steps.tickets),
        number(steps.tickets)
    ));
    say(format_args!("  audience   entered {UNHAPPY} at {}", steps.entered_at.format("%Y-%m-%d %H:%M:%S")));
    say(format_args!(
        "  Zendesk    user {}: unhappy = {}, unhappy_since = {}, open_tickets = {}, last_rating = {}",
        steps.record_id, fields["unhappy"], fields["unhappy_since"], fields["open_tickets"], fields["last_rating"]
    ));
    Ok(())
}

fn ordinal(number: i64) -> String {
    let end = match (number % 10, number % 100) {
        (1, hundred) if hundred != 11 => "st",
        (2, hundred) if hundred != 12 => "nd",
        (3, hundred) if hundred != 13 => "rd",
        _ => "th",
    };
    format!("{number}{end}")
}
