//! Signing in by browser from the command line: tells the address, waits for the answer, and listens for it where no daemon does.

use super::error::failed;
use super::health;
use super::output::note;
use super::session::Session;
use crate::app;
use crate::model::source::Source;
use crate::pipeline::lifecycle;
use crate::pipeline::sign_in::{self, Begun, Purpose, Wish};
use crate::zendesk::oauth::App;
use serde_json::Value;
use std::time::Duration;

/// Has a person sign in, and waits for what comes of it: the source, and what connecting found and did.
pub async fn sign_in(
    session: &Session,
    app: App,
    purpose: Purpose,
    manual_webhook: Option<Option<String>>,
) -> anyhow::Result<(Source, Value)> {
    let wish = Wish { workspace: session.workspace, app, purpose, manual_webhook };
    let begun = sign_in::begin(&session.ctx, wish).await?;
    let listener = match app::listen_for_sign_in(&session.ctx).await? {
        Some(listener) => Some(listener),
        None => {
            see_that_a_daemon_listens(session).await?;
            None
        }
    };
    note(format_args!(
        "Open this address in a browser that is signed in to Zendesk as an admin, and allow the access:\n\n  {}\n\n\
         Zendesk then sends the browser to {}, which must stand among the redirect URLs of the OAuth client.\n\
         Waiting for that, {} minutes at most …",
        begun.url,
        begun.redirect_uri,
        sign_in::PATIENCE.num_minutes()
    ));
    let outcome = wait(session, &begun).await;
    if let Some(listener) = listener {
        listener.end().await;
    }
    let outcome = outcome?;
    match outcome["source"].as_str() {
        Some(name) => Ok((lifecycle::find(&session.ctx, session.workspace, name).await?, outcome["report"].clone())),
        None => Err(failed(
            outcome["error"].as_str().unwrap_or("the sign-in came to nothing").to_string(),
            "nothing was changed; see that out, then run the command again",
        )),
    }
}

async fn wait(session: &Session, begun: &Begun) -> anyhow::Result<Value> {
    loop {
        if let Some(outcome) = sign_in::outcome(&session.ctx, &begun.handle).await? {
            return Ok(outcome);
        }
        if session.ctx.clock.now() > begun.expires_at {
            return Err(failed(
                "nobody signed in, or the answer did not come here",
                format!(
                    "run the command again; if the browser could not open {}, set admin.base_url to the address under which it reaches the admin listener",
                    begun.redirect_uri
                ),
            ));
        }
        session.ctx.clock.sleep(Duration::from_millis(300)).await;
    }
}

/// The admin listener's port is taken: by a daemon, which takes the answer as well, or by something else.
async fn see_that_a_daemon_listens(session: &Session) -> anyhow::Result<()> {
    let address = health::here(session.ctx.settings.admin.listen);
    match tokio::time::timeout(Duration::from_secs(3), health::ready(address)).await {
        Ok(Ok((200 | 503, _))) => Ok(()),
        _ => Err(failed(
            format!("{address} (admin.listen) is taken by something that is no deskbridge daemon"),
            "the answer of the browser comes there: free the port, or set admin.listen to another one here and for the daemon",
        )),
    }
}
