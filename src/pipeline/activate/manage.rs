//! What an operator does with activations: apply a file, compare, pause, resume, delete.

use super::preflight::{self, Preflight};
use super::query;
use super::stored::{ActivationError, Stored, find, of_source};
use crate::db;
use crate::model::activation::{Activation, Target};
use crate::model::source::{Source, SourceState};
use crate::pipeline::context::Context;
use crate::rules::activation::compare::{self, Difference};
use crate::rules::activation::needs::needs;
use crate::rules::activation::personal;
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Stages of a roll-out: none of the records, and all.
const NOTHING: i16 = 0;
const ALL: i16 = 4;

/// What an activation was found to need before it is stored.
struct Accepted {
    source: Source,
    former: Option<Stored>,
    needs: BTreeSet<String>,
}

/// Refuses what cannot be stored; says what it would be stored with.
async fn accept(
    ctx: &Context,
    db: &mut PgConnection,
    workspace: i64,
    activation: &Activation,
) -> Result<Accepted, ActivationError> {
    let source = source(db, workspace, activation).await?;
    let former = former(db, workspace, activation).await?;
    declared(ctx, activation)?;
    let needs = needs(activation);
    known_audiences(db, workspace, &needs).await?;
    query::check(ctx, workspace, activation).await?;
    for other in of_source(db, workspace, source.id).await? {
        alone(activation, &other)?;
    }
    Ok(Accepted { source, former, needs })
}

/// Looks at the target fields of an activation that is to be applied; with `create`, missing custom ones are made. First, so that they
/// are there when a daemon starts on it; nothing is made for a file that would be refused for another reason.
pub async fn prepare(
    ctx: &Context,
    workspace: i64,
    activation: &Activation,
    create: bool,
) -> Result<Preflight, ActivationError> {
    let source = accept(ctx, &mut *ctx.pool.acquire().await?, workspace, activation).await?.source;
    let looked = preflight::look(ctx, &source, activation, create).await?;
    match looked.refusal(&activation.name) {
        None => Ok(looked),
        Some((what, todo)) => Err(ActivationError::refused(what, todo)),
    }
}

/// Defines an activation, or defines it anew. What Zendesk has is not touched: a run does that.
pub async fn apply(ctx: &Context, workspace: i64, activation: &Activation) -> Result<(), ActivationError> {
    let now = ctx.clock.now();
    let mut tx = ctx.pool.begin().await?;
    db::workspace::lock(&mut tx, workspace).await?;
    let Accepted { source, former, needs } = accept(ctx, &mut tx, workspace, activation).await?;
    let former = former.as_ref().map(|former| (former.stage, &former.activation));
    let wants_differ = former.is_none_or(|(_, before)| compare::wants_differ(before, activation));
    let switched_on = former.is_none_or(|(_, before)| !before.when.always);
    let stage = match (activation.guards.stages, former) {
        (false, _) => ALL,
        // What has been rolled out stays so; other wishes begin with one record again.
        (true, Some((stage, before))) if before.guards.stages && !wants_differ => stage,
        (true, _) => NOTHING,
    };
    let new = db::activation::New {
        name: &activation.name,
        title: &activation.title,
        source_id: source.id,
        definition: &activation.written,
        needs: needs.into_iter().collect(),
        always: activation.when.always,
        stage,
        replan: activation.when.always && (wants_differ || switched_on),
    };
    db::activation::define(&mut tx, workspace, new, now).await?;
    tx.commit().await?;
    Ok(())
}

/// What applying a definition would change.
pub async fn diff(ctx: &Context, workspace: i64, activation: &Activation) -> Result<Vec<Difference>, ActivationError> {
    let mut db = ctx.pool.acquire().await?;
    let former = former(&mut db, workspace, activation).await?;
    Ok(compare::compare(former.as_ref().map(|former| &former.activation), activation))
}

/// Pauses an activation, or lets it go on: while paused nothing is sent for it; what is under way is followed to its end.
pub async fn set_paused(ctx: &Context, workspace: i64, name: &str, paused: bool) -> Result<(), ActivationError> {
    let now = ctx.clock.now();
    let mut db = ctx.pool.acquire().await?;
    let stored = find(&mut db, workspace, name).await?;
    if stored.paused_at.is_some() != paused {
        db::activation::set_paused(&mut db, workspace, stored.id, paused.then_some(now), now).await?;
    }
    Ok(())
}

/// Removes an activation with its ledger, runs and records; not while calls of it are under way. Zendesk keeps what it has.
pub async fn delete(ctx: &Context, workspace: i64, name: &str) -> Result<(), ActivationError> {
    let mut tx = ctx.pool.begin().await?;
    db::workspace::lock(&mut tx, workspace).await?;
    let stored = find(&mut tx, workspace, name).await?;
    // Whoever holds the job loses it, so that nothing is stored for what is gone; the next look makes a new one.
    db::job::forget_push(&mut tx, stored.source_id).await?;
    let calls = db::activation::calls_open(&mut tx, workspace, stored.id).await?;
    if calls > 0 {
        return Err(ActivationError::refused(
            format!("calls of activation {name} are under way in Zendesk: {calls}"),
            format!("pause it (deskbridge activation pause {name}) and try again when they have ended"),
        ));
    }
    db::activation::delete(&mut tx, workspace, stored.id).await?;
    tx.commit().await?;
    Ok(())
}

/// Refuses to give away what the settings class as personal data and the file does not name.
fn declared(ctx: &Context, activation: &Activation) -> Result<(), ActivationError> {
    let classed: BTreeSet<String> = ctx.settings.privacy.personal_fields.iter().cloned().collect();
    match personal::undeclared(activation, &classed).first() {
        None => Ok(()),
        Some(problem) => Err(ActivationError::refused(
            format!("personal_data: {problem}"),
            "add it to personal_data, or leave the mapping out; privacy.personal_fields in the settings classes fields",
        )),
    }
}

/// The source that is named, when it is one that can be written to.
async fn source(db: &mut PgConnection, workspace: i64, activation: &Activation) -> Result<Source, ActivationError> {
    let name = &activation.source;
    let source = db::source::by_name(db, workspace, name).await?.ok_or_else(|| {
        ActivationError::refused(format!("source: there is no source {name:?}"), "deskbridge source list shows them")
    })?;
    let (fits, words) = match activation.target {
        Target::Users | Target::Organizations => (source.is_support(), "a connected Zendesk Support account"),
        Target::SellContacts => (source.is_sell(), "a connected Zendesk Sell account"),
    };
    let target = activation.target.as_str();
    if !fits {
        return Err(ActivationError::refused(
            format!("source: {name} is of kind {:?}; {target} are written to {words}", source.kind),
            "name another source",
        ));
    }
    if matches!(source.state, SourceState::Archived | SourceState::Deleted) {
        return Err(ActivationError::refused(
            format!("source: {name} is {}", source.state.as_str()),
            format!("connect it again (deskbridge source reconnect {name}) or name another source"),
        ));
    }
    Ok(source)
}

/// The activation as it stands. Its ledger speaks of records of one source and target, so that neither may change.
async fn former(
    db: &mut PgConnection,
    workspace: i64,
    activation: &Activation,
) -> Result<Option<Stored>, ActivationError> {
    let former = match find(db, workspace, &activation.name).await {
        Ok(former) => former,
        Err(ActivationError::Unknown(_)) => return Ok(None),
        Err(other) => return Err(other),
    };
    let place = |of: &Activation| format!("{} of source {}", of.target.as_str(), of.source);
    let (before, after) = (place(&former.activation), place(activation));
    match before == after {
        true => Ok(Some(former)),
        false => Err(ActivationError::refused(
            format!("activation {} writes {before}; it cannot be turned to {after}", activation.name),
            "give the file another name, or delete the activation first",
        )),
    }
}

async fn known_audiences(
    db: &mut PgConnection,
    workspace: i64,
    needs: &BTreeSet<String>,
) -> Result<(), ActivationError> {
    let known: BTreeSet<String> = db::audience::all(db, workspace).await?.into_iter().map(|one| one.name).collect();
    match needs.iter().filter_map(|need| need.strip_prefix("audience:")).find(|name| !known.contains(*name)) {
        None => Ok(()),
        Some(missing) => Err(ActivationError::refused(
            format!("there is no audience {missing:?}, which the file names"),
            "define it first (deskbridge audience apply -f FILE); deskbridge audience list shows those that are there",
        )),
    }
}

/// Refuses what another activation writes already: the two would undo each other's work for ever.
fn alone(activation: &Activation, other: &Stored) -> Result<(), ActivationError> {
    if other.name == activation.name || other.activation.target != activation.target {
        return Ok(());
    }
    let fields = |of: &Activation| of.mappings.iter().map(|one| one.to.clone()).collect::<BTreeSet<String>>();
    let tags = |of: &Activation| of.tags.iter().map(|one| one.tag.clone()).collect::<BTreeSet<String>>();
    let both =
        |of: fn(&Activation) -> BTreeSet<String>| of(activation).intersection(&of(&other.activation)).next().cloned();
    let what = both(fields)
        .or_else(|| both(tags).map(|tag| format!("tag {tag}")))
        .or_else(|| (activation.memberships && other.activation.memberships).then(|| "memberships".to_owned()));
    match what {
        None => Ok(()),
        Some(what) => Err(ActivationError::refused(
            format!("activation {} writes {what} of source {} already", other.name, activation.source),
            "leave it to one of them: two would overwrite each other without end",
        )),
    }
}
