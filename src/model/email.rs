//! An email address: what was written, and the one key by which it finds a person.

use std::borrow::Cow;
use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// The longest address, in bytes of its key (I1; RFC 5321's path without its brackets).
pub const MAX_EMAIL_BYTES: usize = 254;

/// The longest text that is looked at: the written form may be longer than the key, but not without end.
const MAX_WRITTEN_BYTES: usize = 1024;

/// The longest label of a domain (RFC 1035).
const MAX_LABEL_BYTES: usize = 63;

/// An address that can be a key. Its `Debug` shows nothing of it, so that it never reaches a log line.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Email {
    written: String,
    key: String,
}

/// Why a text is not an address. It never carries the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Nothing but space.
    #[error("the address is empty")]
    Empty,
    /// More than [`MAX_EMAIL_BYTES`].
    #[error("the address is longer than {MAX_EMAIL_BYTES} bytes")]
    TooLong,
    /// A NUL, another control character, or one that cannot be seen.
    #[error("the address has a control or invisible character")]
    Control,
    /// No unquoted `@`, or more than one.
    #[error("the address does not have exactly one @")]
    At,
    /// The part before the `@` is empty or has a character that must be quoted.
    #[error("the part before the @ is not valid")]
    Local,
    /// The part after the `@` is not a domain name.
    #[error("the part after the @ is not a domain name")]
    Domain,
}

impl Email {
    /// I1: trim, NFC, `<>` and the domain's trailing dot off; the domain in ASCII and lower case, the local part in
    /// lower case.
    ///
    /// Plain ASCII, which is nearly every address, takes neither the Unicode tables nor IDNA.
    pub fn parse(text: &str) -> Result<Email, EmailError> {
        let written = clean(text)?;
        let at = sole_unquoted_at(&written)?;
        let (local, domain) = (&written[..at], &written[at + 1..]);
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        check_local(local)?;
        let mut key = String::with_capacity(written.len());
        key.push_str(&lower(local));
        key.push('@');
        key.push_str(&domain_key(domain)?);
        if key.len() > MAX_EMAIL_BYTES {
            return Err(EmailError::TooLong);
        }
        let written = written[..at + 1 + domain.len()].to_owned();
        Ok(Email { written, key })
    }

    /// The identity key (I1): equal keys are one address. Dots and `+tag` stay in it (I2).
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The address as a person wrote it, only trimmed and in NFC: what is shown and what is written back.
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// The part of the key before the `@`.
    pub fn local(&self) -> &str {
        split_key(&self.key).0
    }

    /// The part of the key after the `@`.
    pub fn domain(&self) -> &str {
        split_key(&self.key).1
    }

    /// I2: the key without Gmail's dots and `+tag`. Two people may share it: for suggesting duplicates, never for
    /// merging.
    pub fn canonical(&self) -> String {
        let (local, domain) = split_key(&self.key);
        if !matches!(domain, "gmail.com" | "googlemail.com") || local.starts_with('"') {
            return self.key.clone();
        }
        let mailbox = local.split('+').next().unwrap_or(local);
        let mailbox = mailbox.replace('.', "");
        if mailbox.is_empty() {
            return self.key.clone();
        }
        format!("{mailbox}@gmail.com")
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(***)")
    }
}

fn split_key(key: &str) -> (&str, &str) {
    key.rsplit_once('@').expect("a key has an @ before its domain")
}

/// Trims, takes surrounding `<>` off, puts into NFC, and refuses what cannot be seen.
fn clean(text: &str) -> Result<Cow<'_, str>, EmailError> {
    let text = text.trim_matches(is_edge);
    let text = text.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or(text);
    let text = text.trim_matches(is_edge);
    if text.is_empty() {
        return Err(EmailError::Empty);
    }
    if text.len() > MAX_WRITTEN_BYTES {
        return Err(EmailError::TooLong);
    }
    if text.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Err(EmailError::Control);
    }
    if text.is_ascii() {
        return Ok(Cow::Borrowed(text));
    }
    Ok(Cow::Owned(text.nfc().collect()))
}

fn is_edge(c: char) -> bool {
    c.is_whitespace() || is_invisible(c)
}

/// Characters that change nothing on the screen and would make two keys of one address.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{00AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// The place of the one `@` outside quotes.
fn sole_unquoted_at(text: &str) -> Result<usize, EmailError> {
    let mut found = None;
    let mut quoted = false;
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'@' if !quoted && found.is_some() => return Err(EmailError::At),
            b'@' if !quoted => found = Some(index),
            _ => {}
        }
    }
    found.ok_or(EmailError::At)
}

/// A quoted local part is quoted from end to end; an unquoted one has only what needs no quotes. Dots may stand
/// anywhere: Japanese carriers gave out `a..b@`.
fn check_local(local: &str) -> Result<(), EmailError> {
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let fits =
        |c: char| c.is_alphanumeric() || !c.is_ascii() && !c.is_whitespace() || "!#$%&'*+/=?^_`{|}~-.".contains(c);
    match quoted || (!local.is_empty() && local.chars().all(fits)) {
        true => Ok(()),
        false => Err(EmailError::Local),
    }
}

/// Lower case that is in NFC again: the lower case of `İ` is two characters.
fn lower(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(text.to_ascii_lowercase()),
            false => Cow::Borrowed(text),
        };
    }
    Cow::Owned(text.to_lowercase().nfc().collect())
}

/// The domain's one ASCII form. IDNA only where there is something to convert.
fn domain_key(domain: &str) -> Result<Cow<'_, str>, EmailError> {
    let ascii = match domain.is_ascii() {
        true => lower(domain),
        false => {
            let converted = idna::domain_to_ascii(domain).map_err(|_| EmailError::Domain)?;
            Cow::Owned(converted.strip_suffix('.').map(str::to_owned).unwrap_or(converted))
        }
    };
    match ascii.split('.').all(is_label) {
        true => Ok(ascii),
        false => Err(EmailError::Domain),
    }
}

fn is_label(label: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_LABEL_BYTES).contains(&label.len()) && label.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(input: &str, expected: Result<(&str, &str), EmailError>) {
        let parsed = Email::parse(input);
        let found = parsed.as_ref().map(|email| (email.as_written(), email.key())).map_err(|error| *error);
        assert_eq!(found, expected, "{input:?}");
    }

    #[test]
    fn one_address_has_one_key_i1() {
        check("homer@example.com", Ok(("homer@example.com", "homer@example.com")));
        check("Homer.J+x@Example.COM", Ok(("Homer.J+x@Example.COM", "homer.j+x@example.com")));
        check("  <homer@example.com> ", Ok(("homer@example.com", "homer@example.com")));
        check("\u{FEFF}homer@example.com.\u{200B}\n", Ok(("homer@example.com", "homer@example.com")));
        check("homer@bücher.de", Ok(("homer@bücher.de", "homer@xn--bcher-kva.de")));
        check("homer@BU\u{308}CHER.de", Ok(("homer@BÜCHER.de", "homer@xn--bcher-kva.de")));
        check("homer@XN--BCHER-KVA.de", Ok(("homer@XN--BCHER-KVA.de", "homer@xn--bcher-kva.de")));
        check("homer@例え。jp。", Ok(("homer@例え。jp。", "homer@xn--r8jz45g.jp")));
        check("JOSE\u{301}@example.com", Ok(("JOSÉ@example.com", "josé@example.com")));
        check("\"a@b c\"@Example.com", Ok(("\"a@b c\"@Example.com", "\"a@b c\"@example.com")));
        check("a..b.@docomo.ne.jp", Ok(("a..b.@docomo.ne.jp", "a..b.@docomo.ne.jp")));
        check("root@localhost", Ok(("root@localhost", "root@localhost")));
        check("o'brien@my_host.example", Ok(("o'brien@my_host.example", "o'brien@my_host.example")));
    }

    #[test]
    fn what_is_not_an_address() {
        check("", Err(EmailError::Empty));
        check(" <> ", Err(EmailError::Empty));
        check("homer", Err(EmailError::At));
        check("a@b@example.com", Err(EmailError::At));
        check("\"a@b.com", Err(EmailError::At));
        check("@example.com", Err(EmailError::Local));
        check("a b@example.com", Err(EmailError::Local));
        check("Homer <homer@example.com>", Err(EmailError::Local));
        check("a\"b@c\"d@example.com", Err(EmailError::Local));
        check("\"\"@example.com", Err(EmailError::Local));
        check("homer@", Err(EmailError::Domain));
        check("homer@.com", Err(EmailError::Domain));
        check("homer@example..com", Err(EmailError::Domain));
        check("homer@exa mple.com", Err(EmailError::Domain));
        check("homer@[127.0.0.1]", Err(EmailError::Domain));
        check("homer@bü cher.de", Err(EmailError::Domain));
        check("ho\0mer@example.com", Err(EmailError::Control));
        check("ho\u{200B}mer@example.com", Err(EmailError::Control));
        check("homer@example.com\nbcc:x", Err(EmailError::Control));
        check(&format!("homer@{}.com", "a".repeat(64)), Err(EmailError::Domain));
        check(&format!("{}@example.com", "a".repeat(243)), Err(EmailError::TooLong));
        check(&"a".repeat(10_000_000), Err(EmailError::TooLong));
        assert!(Email::parse(&format!("{}@example.com", "a".repeat(242))).is_ok());
    }

    #[test]
    fn canonical_is_for_suggestions_only_i2() {
        for (input, expected) in [
            ("H.omer+list@gmail.com", "homer@gmail.com"),
            ("h.o.m.e.r@googlemail.com", "homer@gmail.com"),
            ("h.omer+list@example.com", "h.omer+list@example.com"),
            ("+list@gmail.com", "+list@gmail.com"),
        ] {
            let email = Email::parse(input).expect("a good address");
            assert_eq!(email.canonical(), expected, "{input}");
            assert_eq!(email.key(), input.to_lowercase(), "the key keeps dots and tags");
        }
    }

    #[test]
    fn it_prints_nothing_of_itself() {
        let email = Email::parse("homer@example.com").expect("a good address");
        assert_eq!(format!("{email:?}"), "Email(***)");
        assert_eq!((email.local(), email.domain()), ("homer", "example.com"));
    }

    proptest! {
        #[test]
        fn a_key_is_its_own_key(local in "[\\PC\\pL]{1,20}", domain in "[\\pL\\d.-]{1,20}") {
            if let Ok(email) = Email::parse(&format!("{local}@{domain}")) {
                let again = Email::parse(email.key()).expect("a key is an address");
                prop_assert_eq!(again.key(), email.key());
                let rewritten = Email::parse(email.as_written()).expect("what was kept is an address");
                prop_assert_eq!(rewritten.key(), email.key());
                prop_assert!(email.key().len() <= MAX_EMAIL_BYTES && email.domain().is_ascii());
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,40}") {
            let _ = Email::parse(&text);
        }

        #[test]
        fn case_and_space_do_not_matter(text in "[a-zA-Z0-9.+]{1,10}@[a-zA-Z0-9]{1,10}\\.(com|DE)") {
            let key = |text: &str| Email::parse(text).map(|email| email.key().to_owned());
            prop_assert_eq!(key(&text), key(&format!(" <{}.> ", text.to_uppercase())));
        }
    }
}
