//! What an operator does with audiences: define, preview, put people in and out, explain, delete.

use super::pass::catch_up;
use super::stored::{Audience, load, moment};
use crate::db;
use crate::model::audience::Definition;
use crate::model::filter::{About, Filter};
use crate::pipeline::context::{Context, FlowError};
use crate::rules::audience::{cycle, needs};
use crate::rules::filter::words::{self, Explained};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// Why something cannot be done with an audience.
#[derive(Debug, thiserror::Error)]
pub enum AudienceError {
    /// There is none of that name.
    #[error("there is no audience {0:?}")]
    Unknown(String),
    /// A filter names an audience that is not there.
    #[error("the filter names audience {0:?}, which is not there; define that one first")]
    Missing(String),
    /// A filter leads back to its own audience.
    #[error("audiences cannot be made of each other in a circle: {}", .0.join(" → "))]
    Circle(Vec<String>),
    /// Another audience is made of it.
    #[error("audience {0:?} is made of it; change or delete that one first")]
    Named(String),
    /// An activation delivers it.
    #[error("activation {0:?} names it; change or delete that one first")]
    Delivered(String),
    /// Reading or writing failed.
    #[error(transparent)]
    Flow(#[from] FlowError),
}

impl From<sqlx::Error> for AudienceError {
    fn from(error: sqlx::Error) -> Self {
        AudienceError::Flow(error.into())
    }
}

/// The audience of that name.
pub async fn find(db: &mut PgConnection, workspace: i64, name: &str) -> Result<Audience, AudienceError> {
    let found = load(db, workspace).await?.into_iter().find(|audience| audience.stored.name == name);
    found.ok_or_else(|| AudienceError::Unknown(name.to_owned()))
}

/// Names of the audiences that a filter names.
fn named<'a>(filters: impl Iterator<Item = &'a Filter>) -> BTreeSet<String> {
    let name = |about: &About| match about {
        About::Member { audience, .. } => Some(audience.clone()),
        _ => None,
    };
    filters.flat_map(Filter::conditions).filter_map(|condition| name(&condition.about)).collect()
}

/// Defines an audience, or defines it anew, and asks everybody.
pub async fn apply(ctx: &Context, workspace: i64, definition: &Definition) -> Result<(), AudienceError> {
    let mut tx = ctx.pool.begin().await?;
    db::workspace::lock(&mut tx, workspace).await?;
    let all = load(&mut tx, workspace).await?;
    let mut names: BTreeMap<String, BTreeSet<String>> =
        all.iter().map(|audience| (audience.stored.name.clone(), named(audience.definition.filters()))).collect();
    names.insert(definition.name.clone(), named(definition.filters()));
    if let Some(missing) = names[&definition.name].iter().find(|name| !names.contains_key(*name)) {
        return Err(AudienceError::Missing(missing.clone()));
    }
    if let Some(way) = cycle(&definition.name, &names) {
        return Err(AudienceError::Circle(way));
    }
    let needs: Vec<String> = needs(definition).into_iter().collect();
    let names = (definition.name.as_str(), definition.title.as_str());
    db::audience::define(&mut tx, workspace, names, &definition.written, &needs, ctx.clock.now()).await?;
    tx.commit().await?;
    Ok(catch_up(ctx, workspace).await?)
}

/// For whom a filter holds now.
pub async fn preview(ctx: &Context, workspace: i64, filter: &Filter) -> Result<Vec<i64>, AudienceError> {
    let mut db = ctx.pool.acquire().await?;
    let known = load(&mut db, workspace).await?;
    let is_known = |name: &String| known.iter().any(|audience| audience.stored.name == *name);
    if let Some(missing) = named(std::iter::once(filter)).into_iter().find(|name| !is_known(name)) {
        return Err(AudienceError::Missing(missing));
    }
    Ok(db::audience_find::find(&mut db, workspace, filter, moment(ctx)).await?)
}

/// Puts a person in or out by hand; None leaves it to the filter again.
pub async fn set_manual(
    ctx: &Context,
    workspace: i64,
    name: &str,
    person: i64,
    member: Option<bool>,
) -> Result<(), AudienceError> {
    let now = ctx.clock.now();
    let mut tx = ctx.pool.begin().await?;
    db::workspace::lock(&mut tx, workspace).await?;
    let audience = find(&mut tx, workspace, name).await?;
    db::audience_member::set_manual(&mut tx, workspace, (audience.stored.id, person), member, now).await?;
    db::audience_touched::note(&mut tx, workspace, [(person, db::audience_touched::ALL)], now).await?;
    tx.commit().await?;
    Ok(catch_up(ctx, workspace).await?)
}

/// Why a person is in an audience, or is not.
#[derive(Debug)]
pub struct Reasons {
    /// Whether the person is in it.
    pub member: bool,
    /// Put in or out by hand.
    pub manual: Option<bool>,
    /// The entry filter.
    pub entry: Explained,
    /// The exit filter.
    pub exit: Option<Explained>,
}

/// Explains; None when the person is not there, or archived.
pub async fn explain(ctx: &Context, workspace: i64, name: &str, person: i64) -> Result<Option<Reasons>, AudienceError> {
    let mut db = ctx.pool.acquire().await?;
    let audience = find(&mut db, workspace, name).await?;
    let Some(facts) = db::audience_facts::load(&mut db, workspace, person).await? else { return Ok(None) };
    let standings = db::audience_member::standings(&mut db, workspace, &[audience.stored.id], Some(&[person])).await?;
    let standing = standings.first().map(|(_, standing)| standing);
    let explained = |filter: &Filter| words::explain(filter, &facts, moment(ctx));
    Ok(Some(Reasons {
        member: standing.is_some_and(|standing| standing.inside),
        manual: standing.and_then(|standing| standing.manual),
        entry: explained(&audience.definition.entry),
        exit: audience.definition.exit.as_ref().map(explained),
    }))
}

/// Removes an audience with its history, unless another is made of it or an activation names it.
pub async fn delete(ctx: &Context, workspace: i64, name: &str) -> Result<(), AudienceError> {
    let mut tx = ctx.pool.begin().await?;
    db::workspace::lock(&mut tx, workspace).await?;
    let audience = find(&mut tx, workspace, name).await?;
    if let Some(other) = load(&mut tx, workspace).await?.iter().find(|other| other.needs(&audience.as_need())) {
        return Err(AudienceError::Named(other.stored.name.clone()));
    }
    if let Some(name) = db::activation::needing(&mut tx, workspace, &audience.as_need()).await?.into_iter().next() {
        return Err(AudienceError::Delivered(name));
    }
    db::audience::delete(&mut tx, workspace, audience.stored.id).await?;
    tx.commit().await?;
    Ok(())
}
