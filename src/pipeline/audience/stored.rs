//! Audiences as they are stored, with their definitions read.

use crate::db;
use crate::db::audience::Stored;
use crate::model::audience::Definition;
use crate::model::filter::Moment;
use crate::pipeline::context::{Context, FlowError};
use crate::rules::audience::define;
use sqlx::PgConnection;

/// An audience as it stands.
#[derive(Debug, Clone)]
pub struct Audience {
    /// Its row.
    pub stored: Stored,
    /// How it is defined.
    pub definition: Definition,
}

impl Audience {
    /// True when it looks at that.
    pub fn needs(&self, need: &str) -> bool {
        need == db::audience_touched::ALL || self.stored.needs.iter().any(|needed| needed == need)
    }

    /// The name under which others need it.
    pub fn as_need(&self) -> String {
        format!("audience:{}", self.stored.name)
    }
}

/// All audiences, each after those that it names.
pub async fn load(db: &mut PgConnection, workspace: i64) -> Result<Vec<Audience>, FlowError> {
    let mut waiting = Vec::new();
    for stored in db::audience::all(db, workspace).await? {
        let definition = define(&stored.definition).map_err(|error| {
            FlowError::State(format!("the definition of audience {} is not understood: {error}", stored.name))
        })?;
        waiting.push(Audience { stored, definition });
    }
    let mut ordered: Vec<Audience> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let names: Vec<String> = waiting.iter().map(Audience::as_need).collect();
        let (later, ready): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|audience| names.iter().any(|name| audience.needs(name)));
        // Definitions in a circle are refused; were there any, their order would be as good as another.
        if ready.is_empty() {
            ordered.extend(later);
            break;
        }
        ordered.extend(ready);
        waiting = later;
    }
    Ok(ordered)
}

/// From where days are seen now.
pub fn moment(ctx: &Context) -> Moment {
    Moment { now: ctx.clock.now(), zone: ctx.settings.workspace.time_zone }
}
