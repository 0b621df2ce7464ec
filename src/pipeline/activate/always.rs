//! What changed becomes records of a run that is always open.

use super::env::Env;
use super::stored::Stored;
use super::{plan, start};
use crate::db;
use crate::model::job::Lease;
use crate::model::push::{RunKind, RunState};
use crate::pipeline::context::{Context, FlowError};

/// People looked at in one transaction.
const PEOPLE: i64 = 1_000;

/// Takes up people who are due: those whose rows differ from what Zendesk was last given become records of the activation's open
/// run, in the transaction in which they are due no more. True when somebody was taken up.
///
/// While that run asks, or was begun with another definition, they wait.
pub async fn step(ctx: &Context, lease: &Lease, env: &Env, one: &Stored) -> Result<bool, FlowError> {
    let mut tx = plan::begin(ctx, lease).await?;
    let seen = db::activation_due::take(&mut tx, env.workspace, env.id, PEOPLE).await?;
    let run = match db::push_run::open_always(&mut tx, env.workspace, env.id).await? {
        _ if seen.is_empty() => return Ok(false),
        Some(run) if run.state == RunState::Sending && run.definition == one.activation.written => run,
        Some(_) => return Ok(false),
        None => {
            let now = ctx.clock.now();
            start::begin(&mut tx, env.workspace, one, RunKind::Always, start::With::default(), now).await?
        }
    };
    let people: Vec<i64> = seen.iter().map(|(person, _)| *person).collect();
    plan::people(ctx, &mut tx, env, &run, &people).await?;
    db::activation_due::settle(&mut tx, env.workspace, env.id, &seen).await?;
    tx.commit().await?;
    Ok(true)
}
