//! A page of records, whatever they are.

use super::super::client::Client;
use super::super::decode::{self, Page};
use super::super::error::{ApiError, Kind};

/// A page of records that stand under `wrapper`.
pub(super) async fn rows(client: &Client, path: &str, wrapper: &str) -> Result<Page, ApiError> {
    let body = client.get(path).await?;
    decode::page(&body, wrapper).map_err(|error| ApiError {
        endpoint: format!("GET {}", path.split('?').next().unwrap_or(path)),
        kind: Kind::BadBody(error.to_string()),
    })
}
