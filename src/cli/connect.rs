//! `source connect` and `source reconnect`.

use super::credentials::{self, CredentialArgs};
use super::error::usage;
use super::options;
use super::output::{self, Format, say, say_json};
use super::session::Session;
use crate::model::source::{API_TOKENS_END, Credentials, SourceSettings};
use crate::pipeline::lifecycle::{self, Connection};
use crate::zendesk::webhooks::{self, Fault};
use serde_json::json;
use std::path::PathBuf;

/// `deskbridge source connect`.
#[derive(Debug, clap::Args)]
pub struct Connect {
    /// Account name (acme) or address (https://acme.zendesk.com).
    account: String,
    /// Name of the source here, in webhook paths and on the command line [default: the account's name].
    #[arg(long)]
    name: Option<String>,
    /// Set an option of the source, as `deskbridge source set` does; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    options: Vec<String>,
    #[command(flatten)]
    webhook: WebhookArgs,
    #[command(flatten)]
    credentials: CredentialArgs,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge source reconnect`.
#[derive(Debug, clap::Args)]
pub struct Reconnect {
    /// Name of the source.
    name: String,
    #[command(flatten)]
    webhook: WebhookArgs,
    #[command(flatten)]
    credentials: CredentialArgs,
    #[command(flatten)]
    format: Format,
}

/// Who sets up the webhook in Zendesk.
#[derive(Debug, clap::Args)]
pub struct WebhookArgs {
    /// Do not touch webhooks in Zendesk: print what to set up there by hand.
    #[arg(long)]
    manual_webhook: bool,
    /// Signing secret of the webhook that was set up by hand, in this file.
    #[arg(long, value_name = "FILE", requires = "manual_webhook")]
    webhook_secret_file: Option<PathBuf>,
}

impl WebhookArgs {
    /// None when Deskbridge does it itself; else the signing secret, if it is known yet.
    fn manual(&self) -> anyhow::Result<Option<Option<String>>> {
        if !self.manual_webhook {
            return Ok(None);
        }
        let secret = self.webhook_secret_file.as_deref().map(credentials::from_file).transpose()?;
        Ok(Some(secret.map(|secret| secret.expose().to_string())))
    }
}

/// Connects an account.
pub async fn connect(session: &Session, args: &Connect) -> anyhow::Result<()> {
    let (settings, title) = options::apply(&SourceSettings::default(), &args.options)?;
    let manual = args.webhook.manual()?;
    let credentials = args.credentials.read()?.ok_or_else(|| {
        usage("no credentials were given", "make an OAuth client in Zendesk (Admin Center > Apps and integrations > APIs > OAuth clients) and add --client-id ID --client-secret-file FILE; or give a token with --token-env VAR")
    })?;
    let token_ends = matches!(credentials, Credentials::ApiToken { .. });
    let request = lifecycle::Connect {
        workspace: session.workspace,
        account: &args.account,
        name: args.name.as_deref(),
        credentials,
        manual_webhook: manual.clone(),
        settings,
    };
    let connection = lifecycle::connect(&session.ctx, request).await?;
    if let Some(title) = title {
        lifecycle::set_settings(&session.ctx, &connection.source, &title, &connection.source.settings).await?;
    }
    report(&connection, manual.as_ref(), token_ends, args.format);
    Ok(())
}

/// Connects a source again, or gives it new credentials and mends its webhook.
pub async fn reconnect(session: &Session, args: &Reconnect) -> anyhow::Result<()> {
    let source = session.source(&args.name).await?;
    let credentials = args.credentials.read()?;
    // A webhook that was set up by hand stays so.
    let by_hand = source.webhook_id.as_deref() == Some("manual");
    let manual = args.webhook.manual()?.or(by_hand.then_some(None));
    let token_ends = match &credentials {
        Some(credentials) => matches!(credentials, Credentials::ApiToken { .. }),
        None => matches!(session.ctx.credentials(&source), Ok(Credentials::ApiToken { .. })),
    };
    let connection = lifecycle::reconnect(&session.ctx, source, credentials, manual.clone()).await?;
    report(&connection, manual.as_ref(), token_ends, args.format);
    Ok(())
}

fn report(connection: &Connection, manual: Option<&Option<String>>, token_ends: bool, format: Format) {
    let Connection { source, identity, warnings, endpoint, repaired } = connection;
    if format.json {
        let faults: Option<Vec<String>> = repaired.as_ref().map(|faults| faults.iter().map(Fault::words).collect());
        return say_json(&json!({
            "name": source.name, "base_url": source.base_url, "state": source.state, "role": identity.role, "user_id": identity.user_id,
            "scopes": identity.scopes, "warnings": warnings, "webhook_endpoint": endpoint, "webhook_repaired": faults,
            "webhook_types": webhooks::subscriptions(),
        }));
    }
    say(format_args!(
        "{} is connected as source {:?}.",
        source.base_url.as_deref().unwrap_or("The account"),
        source.name
    ));
    say(format_args!("  signed in as     Zendesk user {} ({})", identity.user_id, identity.role));
    match &identity.scopes {
        Some(scopes) => say(format_args!("  scopes           {}", output::plain(&scopes.join(" ")))),
        None => say("  scopes           not told by Zendesk (an API token has all)"),
    }
    if let Some(faults) = repaired {
        let state = match faults.as_slice() {
            [] => "found as it should be".to_string(),
            [Fault::Missing] => "created".to_string(),
            faults => format!("repaired: {}", faults.iter().map(Fault::words).collect::<Vec<_>>().join(", ")),
        };
        say(format_args!("  webhook          {state}; it sends to {endpoint}"));
    }
    for warning in warnings {
        say(format_args!("  warning          {warning}"));
    }
    if token_ends {
        say(format_args!(
            "  warning          Zendesk ends API tokens on {API_TOKENS_END}: move to an OAuth client before then"
        ));
    }
    match manual {
        Some(None) if source.webhook_secret.is_none() => by_hand(&source.name, endpoint),
        Some(_) => say("  webhook          set up by hand; its signing secret is stored"),
        None => {}
    }
    say(format_args!(
        "\nA running daemon (deskbridge serve) now reads all people and the recent past, then keeps up by webhooks and polls.\n\
         To read here and now: deskbridge sync {0}\nTo see how it goes:   deskbridge source show {0}",
        source.name
    ));
}

/// What to set up in Zendesk.
fn by_hand(name: &str, endpoint: &str) {
    say(format_args!(
        "\nSet up the webhook by hand in Zendesk: Admin Center > Apps and integrations > Actions and webhooks > Webhooks > Create webhook,\n\
         connected to \"Zendesk events\":\n\
         \n  name             {}\n  endpoint URL     {endpoint}\n  request method   POST\n  request format   JSON\n  authentication   none\n  event types      {}\n",
        webhooks::name_of(name),
        webhooks::subscriptions().join("\n                   ")
    ));
    say(format_args!(
        "Then open the webhook, choose \"Reveal secret\" next to its signing secret, put that into a file, and store it:\n\
         \n  deskbridge source reconnect {name} --manual-webhook --webhook-secret-file FILE\n\
         \nUntil then its webhooks are refused (401) and changes come by polls only."
    ));
}
