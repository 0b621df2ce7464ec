//! `source connect` and `source reconnect`.

use super::browser;
use super::credentials::{self, CredentialArgs, Given};
use super::error::usage;
use super::options;
use super::output::{self, Format, say, say_json};
use super::sell;
use super::session::Session;
use crate::model::source::{API_TOKENS_END, Credentials, Source, SourceSettings};
use crate::pipeline::lifecycle;
use crate::pipeline::sign_in::{self, Purpose};
use crate::zendesk::oauth::App;
use crate::zendesk::webhooks::{self, Fault};
use serde_json::{Value, json};
use std::path::PathBuf;

/// `deskbridge source connect`.
#[derive(Debug, clap::Args)]
pub struct Connect {
    /// Account name (acme) or address (https://acme.zendesk.com); not for Zendesk Sell, which has one address.
    #[arg(required_unless_present = "sell")]
    account: Option<String>,
    /// Connect a Zendesk Sell account, by an access token: activations write to its contacts, nothing is read from it.
    #[arg(long, conflicts_with_all = ["options", "manual_webhook", "client_id", "email"])]
    sell: bool,
    /// Name of the source here, in webhook paths and on the command line [default: the account's name; sell].
    #[arg(long)]
    name: Option<String>,
    /// Activations write to this account: ask for tokens that may write users and organizations, too.
    #[arg(long, conflicts_with = "sell")]
    write: bool,
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
    /// Have an admin sign in by browser again, with the OAuth client of before.
    #[arg(long, conflicts_with_all = ["token", "client_id", "email"])]
    again: bool,
    /// Activations write to this account: ask for tokens that may write users and organizations, too.
    #[arg(long)]
    write: bool,
    #[command(flatten)]
    webhook: WebhookArgs,
    #[command(flatten)]
    credentials: CredentialArgs,
    #[command(flatten)]
    format: Format,
}

/// `deskbridge source migrate-to-oauth`.
#[derive(Debug, clap::Args)]
pub struct Migrate {
    /// Name of the source.
    name: String,
    /// Activations write to this account: ask for tokens that may write users and organizations, too.
    #[arg(long)]
    write: bool,
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
    if args.sell {
        let (name, address) = (args.name.as_deref().unwrap_or("sell"), args.account.as_deref());
        return sell::connect(session, name, address, args.credentials.read()?, args.format).await;
    }
    let account = args.account.as_deref().unwrap_or_default();
    let (mut settings, title) = options::apply(&SourceSettings::default(), &args.options)?;
    settings.write |= args.write;
    let manual = args.webhook.manual()?;
    let credentials = match args.credentials.read()?.ok_or_else(no_credentials)? {
        Given::Credentials(credentials) => credentials,
        Given::Browser(app) => {
            let purpose = Purpose::Connect {
                account: account.to_string(),
                name: args.name.clone(),
                settings: Box::new(settings),
                title,
            };
            let (source, found) = browser::sign_in(session, app, purpose, manual.clone()).await?;
            report(&source, &found, manual.as_ref(), false, args.format);
            return Ok(());
        }
    };
    let token_ends = matches!(credentials, Credentials::ApiToken { .. });
    let request = lifecycle::Connect {
        workspace: session.workspace,
        account,
        name: args.name.as_deref(),
        credentials,
        manual_webhook: manual.clone(),
        settings,
    };
    let connection = lifecycle::connect(&session.ctx, request).await?;
    if let Some(title) = title {
        lifecycle::set_settings(&session.ctx, &connection.source, &title, &connection.source.settings).await?;
    }
    report(&connection.source, &sign_in::report(&connection), manual.as_ref(), token_ends, args.format);
    Ok(())
}

fn no_credentials() -> anyhow::Error {
    usage(
        "no credentials were given",
        "make an OAuth client in Zendesk (Admin Center > Apps and integrations > APIs > OAuth clients) and add --client-id ID --client-secret-file FILE, with --browser to sign in by browser; or give a token with --token-env VAR",
    )
}

/// Connects a source again, or gives it new credentials and mends its webhook.
pub async fn reconnect(session: &Session, args: &Reconnect) -> anyhow::Result<()> {
    let mut source = session.source(&args.name).await?;
    if source.is_sell() {
        return sell::reconnect(session, &source, args.credentials.read()?, args.format).await;
    }
    source.settings.write |= args.write;
    // A webhook that was set up by hand stays so.
    let by_hand = source.webhook_id.as_deref() == Some("manual");
    let manual = args.webhook.manual()?.or(by_hand.then_some(None));
    let stored = session.ctx.credentials(&source);
    let credentials = match (args.credentials.read()?, args.again, &stored) {
        (Some(Given::Browser(app)), ..) => Err(app),
        (Some(Given::Credentials(credentials)), ..) => Ok(Some(credentials)),
        (None, true, Ok(Credentials::Browser { client_id, client_secret, .. })) => {
            Err(App { client_id: client_id.clone(), client_secret: client_secret.clone() })
        }
        (None, true, _) => {
            return Err(usage(
                "nobody signed in by browser for this source before",
                "add --client-id ID, with --client-secret-file FILE or --public",
            ));
        }
        (None, false, Ok(Credentials::Browser { .. })) if args.write => {
            return Err(usage("more scopes need another sign-in by browser", "add --again"));
        }
        (None, false, _) => Ok(None),
    };
    let credentials = match credentials {
        Ok(credentials) => credentials,
        Err(app) => {
            let purpose = Purpose::Reconnect { name: source.name, write: args.write };
            let (source, found) = browser::sign_in(session, app, purpose, manual.clone()).await?;
            report(&source, &found, manual.as_ref(), false, args.format);
            return Ok(());
        }
    };
    let token_ends = matches!((&credentials, &stored), (Some(Credentials::ApiToken { .. }), _))
        || (credentials.is_none() && matches!(stored, Ok(Credentials::ApiToken { .. })));
    let connection = lifecycle::reconnect(&session.ctx, source, credentials, manual.clone()).await?;
    report(&connection.source, &sign_in::report(&connection), manual.as_ref(), token_ends, args.format);
    Ok(())
}

/// Gives a source with an API token OAuth credentials instead.
pub async fn migrate(session: &Session, args: &Migrate) -> anyhow::Result<()> {
    let mut source = session.source(&args.name).await?;
    source.settings.write |= args.write;
    let (source, found) = match args.credentials.read()?.ok_or_else(no_credentials)? {
        Given::Browser(app) => {
            let purpose = Purpose::Migrate { name: source.name, write: args.write };
            browser::sign_in(session, app, purpose, None).await?
        }
        Given::Credentials(Credentials::ApiToken { .. }) => {
            return Err(usage("that is an API token again", "add --client-id ID --client-secret-file FILE"));
        }
        Given::Credentials(credentials) => {
            let connection = lifecycle::migrate(&session.ctx, source, credentials).await?;
            let found = sign_in::report(&connection);
            (connection.source, found)
        }
    };
    report(&source, &found, (source.webhook_id.as_deref() == Some("manual")).then_some(&None), false, args.format);
    if !args.format.json {
        say("The API token is forgotten here. Nothing of ours uses it any more: delete it in Zendesk.");
    }
    Ok(())
}

fn report(source: &Source, found: &Value, manual: Option<&Option<String>>, token_ends: bool, format: Format) {
    let endpoint = found["webhook_endpoint"].as_str().unwrap_or_default();
    if format.json {
        let mut told = json!({"name": source.name, "base_url": source.base_url, "state": source.state,
            "webhook_types": webhooks::subscriptions()});
        for (key, value) in found.as_object().into_iter().flatten() {
            told[key] = value.clone();
        }
        return say_json(&told);
    }
    let words =
        |key: &str| -> Option<Vec<&str>> { Some(found[key].as_array()?.iter().filter_map(Value::as_str).collect()) };
    say(format_args!(
        "{} is connected as source {:?}.",
        source.base_url.as_deref().unwrap_or("The account"),
        source.name
    ));
    let role = found["role"].as_str().unwrap_or_default();
    say(format_args!("  signed in as     Zendesk user {} ({role})", found["user_id"]));
    match words("scopes") {
        Some(scopes) => say(format_args!("  scopes           {}", output::plain(&scopes.join(" ")))),
        None => say("  scopes           not told by Zendesk (an API token has all)"),
    }
    if let Some(faults) = words("webhook_repaired") {
        let state = match faults.as_slice() {
            [] => "found as it should be".to_string(),
            [fault] if *fault == Fault::Missing.words() => "created".to_string(),
            faults => format!("repaired: {}", faults.join(", ")),
        };
        say(format_args!("  webhook          {state}; it sends to {endpoint}"));
    }
    for warning in words("warnings").unwrap_or_default() {
        say(format_args!("  warning          {warning}"));
    }
    if token_ends {
        say(format_args!(
            "  warning          Zendesk ends API tokens on {API_TOKENS_END}: move to OAuth before then, with deskbridge source migrate-to-oauth {}",
            source.name
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
