//! To which organizations users belong.

use super::super::client::Client;
use super::super::decode;
use super::super::error::{ApiError, Kind};
use super::super::webhooks::encode;
use super::rows::rows;
use crate::model::push::Membership;

/// Pages of one user's memberships that are read: 3,000 of them, ten times what Zendesk allows a user (300).
const MAX_PAGES: usize = 30;

/// The memberships of these users, the default one of each first. Zendesk has no request for several users: one a user, so ask
/// only for those whose memberships are to change. A user who is gone has none.
pub async fn memberships(client: &Client, user_ids: &[String]) -> Result<Vec<Membership>, ApiError> {
    let mut found = Vec::new();
    for user in user_ids {
        let mut own: Vec<Membership> = match of_user(client, user).await {
            Ok(own) => own,
            Err(ApiError { kind: Kind::NotFound, .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        own.sort_by_key(|membership| !membership.default);
        found.append(&mut own);
    }
    Ok(found)
}

async fn of_user(client: &Client, user: &str) -> Result<Vec<Membership>, ApiError> {
    let (mut found, mut after): (Vec<Membership>, Option<String>) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let mut path = format!("/api/v2/users/{}/organization_memberships?page%5Bsize%5D=100", encode(user));
        if let Some(after) = &after {
            path.push_str(&format!("&page%5Bafter%5D={}", encode(after)));
        }
        let page = rows(client, &path, "organization_memberships").await?;
        found.extend(page.records.iter().filter_map(|raw| decode::membership(raw)));
        match (page.has_more, page.after_cursor) {
            (Some(true), Some(next)) if after.as_ref() != Some(&next) => after = Some(next),
            _ => break,
        }
    }
    Ok(found)
}
