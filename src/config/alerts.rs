//! What is wrong with `[alerts]`.

use super::layers::Layers;
use super::{Alerts, SecretText};
use url::Url;

impl Alerts {
    /// Numbers out of range, and ways to operators that lack something.
    pub(super) fn check(&self, layers: &mut Layers) {
        let mut require = |right, key, what: &str| layers.require(right, key, what);
        for (key, value) in [
            ("alerts.check_secs", self.check_secs),
            ("alerts.late_secs", self.late_secs),
            ("alerts.timeout_secs", self.timeout_secs),
        ] {
            require((1..=86_400).contains(&value), key, "must be 1 to 86400");
        }
        require(self.failing_secs <= 86_400, "alerts.failing_secs", "must be at most 86400");
        require((1..=1_000).contains(&self.tries), "alerts.tries", "must be 1 to 1000");
        require(self.credentials_days <= 365, "alerts.credentials_days", "must be at most 365");
        let factor = self.unusual_factor.is_finite() && self.unusual_factor >= 1.0;
        require(factor, "alerts.unusual_factor", "must be 1 or more");
        let no_url = self.webhook_url.expose().is_empty();
        require(
            no_url || is_address(self.webhook_url.expose()),
            "alerts.webhook_url",
            "must be https://…, http only for localhost, without user and fragment; set DESKBRIDGE__ALERTS__WEBHOOK_URL or \
             DESKBRIDGE__ALERTS__WEBHOOK_URL_FILE",
        );
        require(
            no_url || self.webhook_secret.expose().len() >= 16,
            "alerts.webhook_secret",
            "must have 16 characters or more where alerts.webhook_url is set; set DESKBRIDGE__ALERTS__WEBHOOK_SECRET or \
             DESKBRIDGE__ALERTS__WEBHOOK_SECRET_FILE, made with: openssl rand -base64 32",
        );
        let no_email = self.email_to.is_empty();
        let is_email = |text: &String| text.contains('@') && text.chars().all(|c| !c.is_control());
        require(self.email_to.iter().all(is_email), "alerts.email_to", "must be e-mail addresses");
        require(
            no_email || is_email(&self.email_from),
            "alerts.email_from",
            "must be an e-mail address where alerts.email_to is set",
        );
        require(
            no_email || is_mail_server(&self.smtp_url),
            "alerts.smtp_url",
            "must be smtps://USER:PASSWORD@HOST, or smtp://HOST?tls=required, without TLS only without password or on this \
             machine; set DESKBRIDGE__ALERTS__SMTP_URL or DESKBRIDGE__ALERTS__SMTP_URL_FILE",
        );
    }
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn is_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        let secure = url.scheme() == "https" || (url.scheme() == "http" && is_this_machine(&url));
        secure && url.has_host() && url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
    })
}

fn is_mail_server(text: &SecretText) -> bool {
    Url::parse(text.expose()).is_ok_and(|url| {
        let tls = url.query_pairs().any(|(name, value)| name == "tls" && value == "required");
        let open = url.password().is_none() || is_this_machine(&url);
        url.has_host() && (url.scheme() == "smtps" || (url.scheme() == "smtp" && (tls || open)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_messages_may_go() {
        let check = |url: &str, expected| assert_eq!(is_address(url), expected, "{url}");
        check("https://hooks.example.com/a?b=c", true);
        check("http://localhost:8080/a", true);
        check("http://127.0.0.1:8080", true);
        check("http://127.evil.example.com", false);
        check("http://hooks.example.com", false);
        check("https://me:pw@hooks.example.com", false);
        check("ftp://hooks.example.com", false);
        check("hooks", false);
    }

    #[test]
    fn which_mail_servers() {
        let check = |url: &str, expected| assert_eq!(is_mail_server(&SecretText::new(url)), expected, "{url}");
        check("smtps://me:pw@mail.example.com", true);
        check("smtp://me:pw@mail.example.com?tls=required", true);
        check("smtp://me:pw@mail.example.com", false);
        check("smtp://me:pw@mail.example.com?tls=opportunistic", false);
        check("smtp://relay:25", true);
        check("smtp://me:pw@localhost:2525", true);
        check("https://mail.example.com", false);
        check("", false);
    }
}
