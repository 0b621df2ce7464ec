//! What a run of an activation works with.

use super::stored::Stored;
use crate::db;
use crate::model::activation::{Activation, Target};
use crate::model::push::TargetField;
use crate::model::source::{Source, SourceState};
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::preflight::unknown;
use crate::rules::activation::row::Forming;
use crate::secret::Sealer;
use crate::zendesk::client::Client;
use crate::zendesk::push;
use chrono::Duration;
use std::sync::{Arc, PoisonError};

/// For how long the definitions of an account's fields are taken for known, unless one turns out to be missing.
const FIELDS_KNOWN_FOR: Duration = Duration::minutes(5);

/// For how long a field is believed not to be there.
const LACK_KNOWN_FOR: Duration = Duration::seconds(10);

/// An activation, ready to run.
#[derive(Clone)]
pub struct Env {
    /// The workspace.
    pub workspace: i64,
    /// Number of the activation.
    pub id: i64,
    /// How it is defined.
    pub activation: Activation,
    /// The source it writes to.
    pub source: Source,
    /// The source's client.
    pub client: Arc<Client>,
    /// The target fields that the account has.
    pub fields: Arc<Vec<TargetField>>,
    /// How its rows are formed.
    pub forming: Arc<Forming>,
    /// Numbers of the audiences that it looks at, in the order of `forming.audiences()`.
    pub audiences: Arc<Vec<i64>>,
    /// Keyed digests of suppressed addresses.
    pub sealer: Arc<Sealer>,
}

/// Opens an activation: its source must be live, its audiences there.
///
/// # Errors
/// When the source is not connected or paused, an audience is gone (its members would all seem to have left), or Zendesk does not answer.
pub async fn open(ctx: &Context, stored: &Stored) -> Result<Env, FlowError> {
    let mut db = ctx.pool.acquire().await?;
    let missing = || FlowError::State(format!("the source of activation {} is not there any more", stored.name));
    let source = db::source::get(&mut db, stored.source_id).await?.ok_or_else(missing)?;
    let workspace = source.workspace_id;
    let known = db::audience::all(&mut db, workspace).await?;
    drop(db);
    if !matches!(source.state, SourceState::Syncing | SourceState::Connected) {
        return Err(FlowError::State(format!(
            "source {} is {}, so nothing is written to it",
            source.name,
            source.state.as_str()
        )));
    }
    if source.paused_at.is_some() {
        return Err(FlowError::State(format!("source {} is paused, so nothing is written to it", source.name)));
    }
    let client = ctx.client(&source)?;
    let activation = stored.activation.clone();
    let fields = fields(ctx, &source, &client, &activation).await?;
    let region = Some(ctx.settings.privacy.default_region.as_str()).filter(|region| !region.is_empty());
    let forming = Forming::new(&activation, &fields, region)
        .map_err(|fault| FlowError::State(format!("activation {}: {}", stored.name, fault.reason)))?;
    let number = |name: &String| {
        let found = known.iter().find(|audience| audience.name == *name).map(|audience| audience.id);
        found.ok_or_else(|| {
            FlowError::State(format!("activation {} names audience {name:?}, which is not there", stored.name))
        })
    };
    let audiences = forming.audiences().iter().map(number).collect::<Result<Vec<_>, _>>()?;
    Ok(Env {
        workspace,
        id: stored.id,
        activation,
        source,
        client,
        fields,
        forming: Arc::new(forming),
        audiences: Arc::new(audiences),
        sealer: ctx.sealer.clone(),
    })
}

/// Whether an activation was opened with the fields that are still taken for known.
pub fn is_current(ctx: &Context, env: &Env) -> bool {
    let known = ctx.target_fields.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get(&(env.source.id, env.activation.target));
    known.is_some_and(|(at, fields)| ctx.clock.now() - *at < FIELDS_KNOWN_FOR && env.fields.starts_with(fields))
}

/// The target fields that an activation may write in its account, read at most every few minutes; sooner when one is not among them, for
/// it may have been made just now.
pub async fn fields(
    ctx: &Context,
    source: &Source,
    client: &Client,
    activation: &Activation,
) -> Result<Arc<Vec<TargetField>>, FlowError> {
    let mut listed = listed(ctx, source, client, activation.target, FIELDS_KNOWN_FOR).await?;
    let has = |name: &str| listed.iter().any(|field| field.name == name);
    let is_there = activation.mappings.iter().all(|mapping| has(&mapping.to));
    if !is_there {
        listed = self::listed(ctx, source, client, activation.target, LACK_KNOWN_FOR).await?;
    }
    let unknown = unknown(activation, &listed);
    if unknown.is_empty() {
        return Ok(listed);
    }
    Ok(Arc::new(listed.iter().cloned().chain(unknown).collect()))
}

/// The target fields that an account tells, as they were at most so long ago.
async fn listed(
    ctx: &Context,
    source: &Source,
    client: &Client,
    target: Target,
    known_for: Duration,
) -> Result<Arc<Vec<TargetField>>, FlowError> {
    let (now, key) = (ctx.clock.now(), (source.id, target));
    let fresh = |(read_at, fields): &(_, Arc<Vec<TargetField>>)| (now - *read_at < known_for).then(|| fields.clone());
    let known = ctx.target_fields.lock().unwrap_or_else(PoisonError::into_inner).get(&key).and_then(fresh);
    if let Some(known) = known {
        return Ok(known);
    }
    let read = Arc::new(push::fields(client, target).await?);
    ctx.target_fields.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (now, read.clone()));
    Ok(read)
}

/// Makes the next [`open`] read the fields of the source anew: one is missing, or one was made.
pub fn forget_fields(ctx: &Context, source_id: i64) {
    let mut known = ctx.target_fields.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|(source, _), _| *source != source_id);
}
