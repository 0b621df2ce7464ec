//! Messages by e-mail.

use super::SendError;
use crate::config::SecretText;
use chrono::{DateTime, Utc};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::time::Duration;

/// Sends through a mail server.
pub struct Email {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The same in every try, so that one that came twice is recognised.
    pub id: String,
    /// Subject.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// When it was written.
    pub at: DateTime<Utc>,
}

impl Email {
    /// A way through the server of this URL (`smtps://USER:PASSWORD@HOST`) to these addresses.
    ///
    /// # Errors
    /// When the URL or an address is none.
    pub fn new(url: &SecretText, from: &str, to: &[String], timeout: Duration) -> Result<Email, SendError> {
        // Its errors may quote the URL, which is a secret.
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose())
            .map_err(|_| SendError::Refused("alerts.smtp_url is no URL of a mail server".to_owned()))?;
        let address = |text: &str, key: &str| {
            text.parse::<Mailbox>().map_err(|error| SendError::Refused(format!("{key} has no e-mail address: {error}")))
        };
        let to = to.iter().map(|text| address(text, "alerts.email_to")).collect::<Result<_, _>>()?;
        let from = address(from, "alerts.email_from")?;
        Ok(Email { server: server.timeout(Some(timeout)).build(), from, to })
    }

    /// Sends a letter to all addresses at once.
    ///
    /// # Errors
    /// Without the addresses: the server's words may have them.
    pub async fn send(&self, letter: &Letter) -> Result<(), SendError> {
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(&letter.subject)
            .date(letter.at.into())
            .message_id(Some(format!("<{}@{}>", letter.id, self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(to.clone());
        }
        let message = message
            .body(letter.text.clone())
            .map_err(|error| SendError::Refused(format!("the letter cannot be written: {error}")))?;
        self.server.send(message).await.map(|_| ()).map_err(|error| match error.status() {
            Some(code) if error.is_permanent() => SendError::Refused(format!("the mail server answered {code}")),
            Some(code) => SendError::Down(format!("the mail server answered {code}")),
            None if error.is_timeout() => SendError::Down("the mail server did not answer in time".to_owned()),
            None if error.is_tls() => {
                SendError::Down("the mail server's TLS or certificate is not accepted".to_owned())
            }
            None => SendError::Down("the mail server cannot be reached, or does not speak SMTP as agreed".to_owned()),
        })
    }
}
