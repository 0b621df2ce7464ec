//! Activations as they are stored, with their definitions read.

use crate::db;
use crate::db::activation::Row;
use crate::model::activation::Activation;
use crate::pipeline::context::FlowError;
use crate::rules::activation::read;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Why something cannot be done with an activation.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// There is none of that name.
    #[error("there is no activation {0:?}")]
    Unknown(String),
    /// Something stands in the way.
    #[error("{what}")]
    Refused {
        /// What.
        what: String,
        /// What to do.
        todo: String,
    },
    /// Something failed on the way.
    #[error(transparent)]
    Flow(#[from] FlowError),
}

impl ActivationError {
    /// Something stands in the way.
    pub fn refused(what: impl Into<String>, todo: impl Into<String>) -> ActivationError {
        ActivationError::Refused { what: what.into(), todo: todo.into() }
    }
}

impl From<ActivationError> for FlowError {
    fn from(error: ActivationError) -> FlowError {
        match error {
            ActivationError::Flow(error) => error,
            refused => FlowError::State(refused.to_string()),
        }
    }
}

impl From<db::Error> for ActivationError {
    fn from(error: db::Error) -> ActivationError {
        ActivationError::Flow(error.into())
    }
}

/// An activation as it stands.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The source that it writes to.
    pub source_id: i64,
    /// What it looks at.
    pub needs: Vec<String>,
    /// When its clock starts the next run.
    pub next_at: Option<DateTime<Utc>>,
    /// Since when nothing is sent for it.
    pub paused_at: Option<DateTime<Utc>>,
    /// How far it is rolled out: 0 nothing, 1 one record, 2 ten, 3 one in a hundred, 4 all.
    pub stage: i16,
    /// When all its rows are to be looked at again.
    pub replan_at: Option<DateTime<Utc>>,
    /// What is wrong with it, and what to do.
    pub trouble: Option<Trouble>,
    /// Until when nothing is tried for it, since it failed or waits for an answer.
    pub held_until: Option<DateTime<Utc>>,
    /// When it was first applied.
    pub created_at: DateTime<Utc>,
    /// When its definition last changed.
    pub updated_at: DateTime<Utc>,
    /// How it is defined.
    pub activation: Activation,
}

/// What is wrong with an activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What.
    pub error: String,
    /// What to do.
    pub remedy: String,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
}

impl Stored {
    /// Reads the definition of a row.
    pub fn of(row: Row) -> Result<Stored, FlowError> {
        let activation = read::from_json(&row.definition).map_err(|error| {
            FlowError::State(format!("the definition of activation {} is not understood: {error}", row.name))
        })?;
        let since = row.failing_since;
        let trouble = row.error.map(|error| Trouble { error, remedy: row.remedy.unwrap_or_default(), since });
        Ok(Stored {
            id: row.id,
            name: row.name,
            source_id: row.source_id,
            needs: row.needs,
            next_at: row.next_at,
            paused_at: row.paused_at,
            stage: row.stage,
            replan_at: row.replan_at,
            trouble,
            held_until: row.held_until,
            created_at: row.created_at,
            updated_at: row.updated_at,
            activation,
        })
    }
}

/// All activations of a workspace, by name.
pub async fn all(db: &mut PgConnection, workspace: i64) -> Result<Vec<Stored>, FlowError> {
    db::activation::all(db, workspace).await?.into_iter().map(Stored::of).collect()
}

/// The activation of that name.
pub async fn find(db: &mut PgConnection, workspace: i64, name: &str) -> Result<Stored, ActivationError> {
    let row = db::activation::by_name(db, workspace, name).await?;
    Ok(Stored::of(row.ok_or_else(|| ActivationError::Unknown(name.to_owned()))?)?)
}

/// The activations that write to a source.
pub async fn of_source(db: &mut PgConnection, workspace: i64, source: i64) -> Result<Vec<Stored>, FlowError> {
    db::activation::of_source(db, workspace, source).await?.into_iter().map(Stored::of).collect()
}
