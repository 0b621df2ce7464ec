//! Credentials as they are given: by the name of a variable or a file, or on stdin, never on the command line itself,
//! where every user of the machine could read them.

use super::error::usage;
use crate::config::{SecretText, env_var};
use crate::model::source::Credentials;
use crate::secret;
use crate::zendesk::oauth::App;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What was given to enter an account.
pub enum Given {
    /// Credentials that are complete.
    Credentials(Credentials),
    /// An OAuth client for which an admin has to sign in by browser.
    Browser(App),
}

/// Credentials of a Zendesk account. Exactly one of three kinds.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Credentials (one of: token, client, API token)")]
pub struct CredentialArgs {
    /// OAuth access token, in this environment variable.
    #[arg(long, value_name = "VAR", group = "token")]
    token_env: Option<String>,
    /// OAuth access token, in this file.
    #[arg(long, value_name = "FILE", group = "token")]
    token_file: Option<PathBuf>,
    /// OAuth access token, on standard input.
    #[arg(long, group = "token")]
    token_stdin: bool,
    /// Unique identifier of an OAuth client. With its secret alone it fetches its own tokens (client credentials).
    #[arg(long, value_name = "ID", conflicts_with = "token")]
    client_id: Option<String>,
    /// Have an admin sign in by browser (authorization code with PKCE), instead of client credentials.
    #[arg(long, requires = "client_id")]
    browser: bool,
    /// The OAuth client is a public one, without a secret; an admin signs in by browser.
    #[arg(long, requires = "client_id", conflicts_with = "client_secret")]
    public: bool,
    /// Secret of the OAuth client, in this environment variable.
    #[arg(long, value_name = "VAR", group = "client_secret", requires = "client_id")]
    client_secret_env: Option<String>,
    /// Secret of the OAuth client, in this file.
    #[arg(long, value_name = "FILE", group = "client_secret", requires = "client_id")]
    client_secret_file: Option<PathBuf>,
    /// E-mail address of the admin whose API token it is. Zendesk ends API tokens on 2027-04-30.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["token", "client_id"], requires = "api_token")]
    email: Option<String>,
    /// API token, in this environment variable.
    #[arg(long, value_name = "VAR", group = "api_token", requires = "email")]
    api_token_env: Option<String>,
    /// API token, in this file.
    #[arg(long, value_name = "FILE", group = "api_token", requires = "email")]
    api_token_file: Option<PathBuf>,
}

impl CredentialArgs {
    /// What was given; None when nothing was.
    pub fn read(&self) -> anyhow::Result<Option<Given>> {
        match &self.client_id {
            Some(client_id) => self.client(client_id.clone()).map(Some),
            None => Ok(self.token_or_password()?.map(Given::Credentials)),
        }
    }

    fn client(&self, client_id: String) -> anyhow::Result<Given> {
        if self.public {
            return Ok(Given::Browser(App { client_id, client_secret: None }));
        }
        if self.client_secret_env.is_none() && self.client_secret_file.is_none() {
            return Err(usage(
                "the client's secret is missing",
                "add --client-secret-file FILE; or --public, if the OAuth client is a public one and an admin signs in by browser",
            ));
        }
        let secret = secret_of(self.client_secret_env.as_deref(), self.client_secret_file.as_deref())?;
        let client_secret = secret.expose().to_string();
        Ok(match self.browser {
            true => Given::Browser(App { client_id, client_secret: Some(client_secret) }),
            false => Given::Credentials(Credentials::ClientCredentials { client_id, client_secret }),
        })
    }

    fn token_or_password(&self) -> anyhow::Result<Option<Credentials>> {
        if let Some(email) = &self.email {
            let token = secret_of(self.api_token_env.as_deref(), self.api_token_file.as_deref())?;
            return Ok(Some(Credentials::ApiToken { email: email.clone(), token: token.expose().to_string() }));
        }
        let token = match self.token_stdin {
            true => from_stdin()?,
            false if self.token_env.is_some() || self.token_file.is_some() => {
                secret_of(self.token_env.as_deref(), self.token_file.as_deref())?
            }
            false => return Ok(None),
        };
        Ok(Some(Credentials::Bearer { token: token.expose().to_string() }))
    }
}

/// A secret from a variable or a file.
fn secret_of(variable: Option<&str>, file: Option<&Path>) -> anyhow::Result<SecretText> {
    match (variable, file) {
        (Some(name), _) => {
            let value = env_var(name).ok_or_else(|| {
                usage(
                    format!("the environment variable {name} is not set"),
                    "set and export it, give its name and not its value",
                )
            })?;
            checked(&value, name)
        }
        (None, Some(path)) => from_file(path),
        (None, None) => Err(usage("the secret is missing", "see deskbridge source connect --help")),
    }
}

/// A secret from a file; a newline at its end is none of it.
pub fn from_file(path: &Path) -> anyhow::Result<SecretText> {
    let text = secret::read_file(path).map_err(|error| {
        usage(format!("cannot read {}: {error}", path.display()), "check the path and its permissions")
    })?;
    checked(&text, &path.display().to_string())
}

fn from_stdin() -> anyhow::Result<SecretText> {
    let mut text = zeroize::Zeroizing::new(String::new());
    std::io::stdin().lock().take(64 * 1024).read_to_string(&mut text)?;
    checked(&text, "standard input")
}

fn checked(text: &str, whence: &str) -> anyhow::Result<SecretText> {
    match text.trim() {
        "" => Err(usage(format!("{whence} is empty"), "put the secret there, alone")),
        text if text.chars().any(char::is_whitespace) => {
            Err(usage(format!("{whence} holds more than one word"), "put the secret there, alone"))
        }
        text => Ok(SecretText::new(text)),
    }
}
