//! Which row of an activation somebody means who types a key.

use crate::db;
use crate::model::email::Email;
use sqlx::PgConnection;

/// By what a person is looked for, the surest first: a number may be several of these.
const WAYS: [&str; 4] = ["number", "record", "external id", "address"];

/// The same in words.
pub const TRIED: &str =
    "the key of a row, the number of a person, the id of a record in the source, an external id and an e-mail address";

/// What a key may mean.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meant {
    /// Rows without a person that it may name: of a query, of organizations; or the one row that it is the name of.
    pub rows: Vec<String>,
    /// People that it names by the surest way that finds any.
    pub people: Vec<i64>,
}

impl Meant {
    /// Keys of all rows that may be meant.
    pub fn row_keys(&self) -> Vec<String> {
        self.rows.iter().cloned().chain(self.people.iter().map(|person| format!("person:{person}"))).collect()
    }
}

/// What a key may mean, for an activation that writes to this source.
pub async fn meant(db: &mut PgConnection, workspace: i64, source: i64, key: &str) -> db::Result<Meant> {
    let key = key.trim();
    if ["person:", "organization:", "key:"].iter().any(|prefix| key.starts_with(prefix)) {
        return Ok(Meant { rows: vec![key.to_owned()], people: Vec::new() });
    }
    let address = Email::parse(key).ok();
    let found = db::person::named(db, workspace, source, key, address.as_ref().map(Email::key)).await?;
    let by = |way: &str| -> Vec<i64> { found.iter().filter(|one| one.0 == way).map(|one| one.1).collect() };
    let people = WAYS.into_iter().map(by).find(|people| !people.is_empty()).unwrap_or_default();
    Ok(Meant { rows: vec![format!("key:{key}"), format!("organization:{key}")], people })
}
