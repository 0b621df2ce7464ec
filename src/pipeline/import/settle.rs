//! The source a file is imported under: made on first use, with options of its own.

use super::watch::ImportError;
use crate::db;
use crate::model::person::IdentityKind;
use crate::model::source::{FindStrategy, MergeStrategy, Source, SourceSettings, SourceState};
use crate::pipeline::context::Context;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// The kind of a source that is fed by files.
const KIND: &str = "import";

/// What the operator wants of the source. What is not said stays as the source has it, or as imports usually have it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wishes {
    /// Name of the source.
    pub name: String,
    /// How several identifiers are tried (R27).
    pub find: Option<FindStrategy>,
    /// What happens to people who are there already (R28).
    pub merge: Option<MergeStrategy>,
    /// Whether people are created who are not there.
    pub create_people: Option<bool>,
    /// What finds a person.
    pub identifiers: Option<Vec<IdentityKind>>,
}

impl Wishes {
    /// Options of the source once the wishes are met.
    fn options(&self, known: Option<SourceSettings>) -> SourceSettings {
        let mut options = known.unwrap_or_else(usual);
        options.find = self.find.unwrap_or(options.find);
        options.merge = self.merge.unwrap_or(options.merge);
        options.create_people = self.create_people.unwrap_or(options.create_people);
        if let Some(identifiers) = &self.identifiers {
            options.identifiers.clone_from(identifiers);
        }
        options
    }
}

/// Files fill what is empty (R28) and find people by address and by the operator's own id.
fn usual() -> SourceSettings {
    SourceSettings {
        merge: MergeStrategy::Append,
        identifiers: vec![IdentityKind::Email, IdentityKind::ExternalId],
        ..SourceSettings::default()
    }
}

/// What the options of the source will be. Writes nothing.
pub async fn prepare(ctx: &Context, wishes: &Wishes) -> Result<SourceSettings, ImportError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=63).contains(&wishes.name.len()) || !wishes.name.bytes().all(plain) {
        return Err(ImportError::Name(wishes.name.chars().take(100).collect()));
    }
    let mut db = ctx.pool.acquire().await?;
    let known = find(&mut db, wishes).await?;
    Ok(wishes.options(known.map(|source| source.settings)))
}

/// Makes the source what is wished: under the workspace's lock, so that two imports make one.
pub(super) async fn settle(db: &mut PgConnection, wishes: &Wishes, now: DateTime<Utc>) -> Result<Source, ImportError> {
    let known = match find(db, wishes).await? {
        Some(source) => source,
        None => {
            let options = wishes.options(None);
            let workspace = db::workspace::DEFAULT;
            let id = db::source::insert(db, workspace, &wishes.name, KIND, None, &options, now).await?;
            let made = db::source::get(db, id).await?.ok_or(sqlx::Error::RowNotFound)?;
            db::source::set_state(db, &made, SourceState::Connected, now).await?;
            Source { state: SourceState::Connected, ..made }
        }
    };
    let settings = wishes.options(Some(known.settings.clone()));
    if settings != known.settings {
        db::source::set_settings(db, known.id, &known.title, &settings, now).await?;
    }
    Ok(Source { settings, ..known })
}

async fn find(db: &mut PgConnection, wishes: &Wishes) -> Result<Option<Source>, ImportError> {
    let found = db::source::by_name(db, db::workspace::DEFAULT, &wishes.name).await?;
    let refuse = |source: &Source, what: &str, remedy| {
        Err(ImportError::Source { name: source.name.clone(), what: what.to_owned(), remedy })
    };
    match found {
        Some(source) if source.kind != KIND => {
            refuse(&source, "a Zendesk account", "choose another name with --source")
        }
        Some(source) if source.state != SourceState::Connected => refuse(
            &source,
            source.state.as_str(),
            "reconnect or restore it first, or choose another name with --source",
        ),
        Some(source) if source.paused_at.is_some() => {
            refuse(&source, "paused", "deskbridge source resume lets it take files again")
        }
        found => Ok(found),
    }
}
