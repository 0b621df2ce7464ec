//! Both sides of the comparison, each by id.

use super::findings::CompareError;
use crate::db;
use crate::db::compare::Tables;
use crate::demo::sim::Door;
use crate::model::phone::Phone;
use crate::model::source::Source;
use crate::pipeline::context::Context;
use crate::rules::retention;
use chrono::Duration;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// How far an activity may be from the horizon of retention before its presence means something: the clock went on.
const MARGIN: Duration = Duration::hours(6);

/// What is true.
pub struct Truth {
    /// Users by id, agents among them.
    pub users: BTreeMap<String, Value>,
    /// Organizations by id.
    pub organizations: BTreeMap<String, Value>,
    /// Tickets by number.
    pub tickets: BTreeMap<i64, Value>,
    /// Ratings.
    pub ratings: Vec<Value>,
}

impl Truth {
    /// Reads all of it.
    pub async fn read(door: &Door) -> Result<Truth, CompareError> {
        let by_id = |rows: Vec<Value>| rows.into_iter().map(|row| (id(&row["id"]), row)).collect();
        Ok(Truth {
            users: by_id(door.state("users").await?),
            organizations: by_id(door.state("organizations").await?),
            tickets: door
                .state("tickets")
                .await?
                .into_iter()
                .filter_map(|row| Some((row["id"].as_i64()?, row)))
                .collect(),
            ratings: door.state("ratings").await?,
        })
    }
}

/// What the CDP has.
pub struct Ours {
    /// The source.
    pub source: Source,
    /// Its rows.
    pub tables: Tables,
    /// Links by record id.
    pub links: HashMap<String, Value>,
    /// How many records stand for each person.
    pub shares: HashMap<i64, usize>,
    /// How many bytes of a message are kept; None if none are.
    pub message_bytes: Option<usize>,
    default_region: Option<String>,
    now: chrono::DateTime<chrono::Utc>,
}

impl Ours {
    /// Reads all of it.
    pub async fn read(ctx: &Context, source_id: i64) -> Result<Ours, CompareError> {
        let mut connection = ctx.pool.acquire().await?;
        let source = db::source::get(&mut connection, source_id).await?.ok_or(CompareError::Unknown(source_id))?;
        let tables = db::compare::read(&mut connection, source.workspace_id, source.id).await?;
        let links: HashMap<String, Value> =
            tables.links.iter().map(|link| (id(&link["record_id"]), link.clone())).collect();
        let mut shares = HashMap::new();
        for link in &tables.links {
            *shares.entry(link["person_id"].as_i64().unwrap_or_default()).or_default() += 1;
        }
        let privacy = &ctx.settings.privacy;
        let store = source.settings.store_message_bodies.unwrap_or(privacy.store_message_bodies);
        Ok(Ours {
            tables,
            links,
            shares,
            message_bytes: store.then_some(privacy.message_max_bytes),
            default_region: Some(privacy.default_region.clone()).filter(|region| !region.is_empty()),
            now: ctx.clock.now(),
            source,
        })
    }

    /// Must an activity of this type and time be there, if it happened?
    pub fn is_kept(&self, kind: &str, at: i64) -> bool {
        let horizon = retention::horizon(self.now, &self.source.settings.retention, kind);
        horizon.is_none_or(|horizon| at >= (horizon + MARGIN).timestamp())
    }

    /// Was this ticket changed late enough to have been read by a first sync?
    pub fn is_read(&self, generated: i64) -> bool {
        generated >= (retention::first_sync_since(self.now, &self.source.settings.retention) + MARGIN).timestamp()
    }

    /// The person of a record.
    pub fn person(&self, record: &str) -> Option<i64> {
        self.links.get(record)?["person_id"].as_i64()
    }

    /// The person of a record, where activities may be attached to it.
    pub fn attachable(&self, record: &str) -> Option<i64> {
        let link = self.links.get(record)?;
        link["person"]["archived_at"].is_null().then(|| link["person_id"].as_i64()).flatten()
    }

    /// A phone number as it should stand here.
    pub fn phone(&self, text: &str) -> String {
        match Phone::parse(text, self.default_region.as_deref()) {
            Ok(number) if number.extension().is_none() => number.e164().to_string(),
            _ => text.trim().to_string(),
        }
    }
}

/// An id as text, whichever way it is written.
pub fn id(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// A list of words, sorted, each once.
pub fn sorted(value: &Value) -> Vec<String> {
    let mut words: Vec<String> =
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect();
    words.sort();
    words.dedup();
    words
}

/// A time as Zendesk writes it, in unix seconds.
pub fn seconds(value: &Value) -> i64 {
    let time = value.as_str().and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
    time.map_or(0, |time| time.timestamp())
}
