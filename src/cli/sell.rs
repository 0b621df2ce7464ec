//! `source connect --sell`, and `source reconnect` of a Zendesk Sell account.

use super::credentials::Given;
use super::error::usage;
use super::output::{Format, note, say, say_json};
use super::session::Session;
use crate::model::source::{Credentials, SELL_RETIRES, Source};
use crate::pipeline::connect::LifecycleError;
use crate::pipeline::sell;
use serde_json::json;

/// Connects a Sell account.
pub async fn connect(
    session: &Session,
    name: &str,
    address: Option<&str>,
    given: Option<Given>,
    format: Format,
) -> anyhow::Result<()> {
    let credentials = token(given)?.ok_or_else(|| {
        usage(
            "no token was given",
            "make an access token with the scopes read and write in Sell (Settings > Integrations > OAuth > Access tokens), and add --token-env VAR or --token-file FILE",
        )
    })?;
    let source = sell::connect(&session.ctx, session.workspace, name, address, &credentials).await?;
    report(&source, format);
    Ok(())
}

/// Connects a Sell account again, or gives it a new token.
pub async fn reconnect(session: &Session, source: &Source, given: Option<Given>, format: Format) -> anyhow::Result<()> {
    let source = sell::reconnect(&session.ctx, source, token(given)?.as_ref()).await?;
    report(&source, format);
    Ok(())
}

fn token(given: Option<Given>) -> Result<Option<Credentials>, LifecycleError> {
    match given {
        Some(Given::Browser(_)) => Err(LifecycleError::SellToken),
        Some(Given::Credentials(credentials)) => Ok(Some(credentials)),
        None => Ok(None),
    }
}

fn report(source: &Source, format: Format) {
    if format.json {
        return say_json(&json!({"name": source.name, "kind": source.kind, "base_url": source.base_url,
            "state": source.state, "remark": SELL_RETIRES}));
    }
    say(format_args!(
        "Zendesk Sell is connected as source {:?}. Nothing is read from it; activations with target = \"sell_contacts\" write to its contacts.",
        source.name
    ));
    note(format_args!("warning: {SELL_RETIRES}"));
}
