//! Rows looked at once more, by their keys: to try them anew, or to see whether they are still there.

use super::env::Env;
use super::queried;
use super::rows::{self, Scope};
use super::stored::ActivationError;
use crate::model::activation::Rows;
use crate::model::push::Row;
use crate::pipeline::audience::moment;
use crate::pipeline::context::Context;
use sqlx::PgConnection;
use std::collections::HashMap;

/// Rows that are formed at once.
const PAGE: usize = 1_000;

/// The rows of these keys as they are now; those that there are no more are not among them. An operator's query is asked anew.
pub async fn rows(
    ctx: &Context,
    db: &mut PgConnection,
    env: &Env,
    keys: &[String],
) -> Result<HashMap<String, Row>, ActivationError> {
    let mut all = Vec::new();
    if matches!(env.activation.rows, Rows::Query { .. }) {
        all = queried::again(ctx, db, env, keys, moment(ctx)).await?.rows;
    } else {
        let mut cursor = None;
        loop {
            let page = rows::page(db, env, Scope::Keys(keys), cursor.as_ref(), PAGE, moment(ctx)).await?;
            all.extend(page.rows);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(all.into_iter().map(|row| (row.row_key.clone(), row)).collect())
}
