//! Values that many share and that must not find a person (I3): they stay a field and are no key.

/// Local parts that are nobody's, at every domain.
const NOBODY: [&str; 4] = ["noreply", "no-reply", "mailer-daemon", "postmaster"];

/// Words that stand for "none" (Segment's, with [`is_zeroes`]).
const NONE_WORDS: [&str; 3] = ["-1", "null", "anonymous"];

/// Domains, each as a whole, of addresses that are made up.
const MADE_UP_DOMAINS: [&str; 1] = ["example.com"];

/// The kind of an identity whose keys are addresses.
const EMAIL_KIND: &str = "email";

/// I3: whether this normalised key may not be a key.
///
/// `own_subdomain` is the account's (`acme` of `acme.zendesk.com`): its support addresses are not a customer's.
/// `extra` is the operator's list, of four forms, case apart: `info@` (that local part everywhere), `@acme.com` or
/// `*@acme.com` (that whole domain, not those below it), `jobs@acme.com` or any other value (that key), and
/// `acme.com` (the key, or the whole domain).
pub fn is_blocked(kind: &str, key: &str, own_subdomain: Option<&str>, extra: &[String]) -> bool {
    let key = key.trim();
    if is_zeroes(key) || NONE_WORDS.iter().any(|word| key.eq_ignore_ascii_case(word)) {
        return true;
    }
    if extra.iter().any(|entry| key.eq_ignore_ascii_case(entry.trim())) {
        return true;
    }
    match key.rsplit_once('@') {
        Some((local, domain)) if kind == EMAIL_KIND => {
            is_nobody(local, domain, own_subdomain)
                || extra.iter().any(|entry| entry_blocks(entry.trim(), local, domain))
        }
        _ => false,
    }
}

/// Segment's `^[0-]*$`, the empty value among them.
fn is_zeroes(key: &str) -> bool {
    key.bytes().all(|byte| matches!(byte, b'0' | b'-'))
}

/// The defaults for addresses.
fn is_nobody(local: &str, domain: &str, own_subdomain: Option<&str>) -> bool {
    NOBODY.iter().any(|word| local.eq_ignore_ascii_case(word))
        || MADE_UP_DOMAINS.iter().any(|made_up| domain.eq_ignore_ascii_case(made_up))
        || own_subdomain.is_some_and(|subdomain| is_below_zendesk(domain, subdomain))
}

fn is_below_zendesk(domain: &str, subdomain: &str) -> bool {
    let (label, parent) = domain.split_once('.').unwrap_or((domain, ""));
    label.eq_ignore_ascii_case(subdomain.trim()) && parent.eq_ignore_ascii_case("zendesk.com")
}

fn entry_blocks(entry: &str, local: &str, domain: &str) -> bool {
    match entry.split_once('@') {
        Some(("" | "*", whole)) => !whole.is_empty() && domain.eq_ignore_ascii_case(whole),
        Some((word, "" | "*")) => local.eq_ignore_ascii_case(word),
        Some(_) => false,
        None => domain.eq_ignore_ascii_case(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, key: &str, expected: bool) {
        let extra = ["info@", "@blocked.test", "*@also.test", "jobs@acme.com", "whole.test", "N/A", "@", " "]
            .map(str::to_owned);
        assert_eq!(is_blocked(kind, key, Some("acme"), &extra), expected, "{kind} {key:?}");
    }

    #[test]
    fn defaults_i3() {
        for key in ["", "0", "000-000", "-", "-1", "null", "NULL", "anonymous"] {
            check("external_id", key, true);
            check("email", key, true);
        }
        for key in ["noreply@shop.test", "no-reply@shop.test", "mailer-daemon@x.test", "postmaster@x.test"] {
            check("email", key, true);
            check("external_id", key, false);
        }
        check("email", "support@acme.zendesk.com", true);
        check("email", "support+id123@ACME.zendesk.com", true);
        check("email", "homer@other.zendesk.com", false);
        check("email", "homer@acme.zendesk.com.test", false);
        check("email", "homer@x.acme.zendesk.com", false);
        check("email", "homer@example.com", true);
        check("email", "homer@notexample.com", false);
        check("email", "homer@mail.example.com", false);
        check("email", "homer@example.com.au", false);
        check("email", "noreplying@shop.test", false);
        check("email", "homer@simpson.test", false);
        check("external_id", "1000", false);
        check("external_id", "-10", false);
        check("phone", "+61401234567", false);
    }

    #[test]
    fn the_operators_list_i3() {
        check("email", "info@simpson.test", true);
        check("email", "information@simpson.test", false);
        check("email", "homer@blocked.test", true);
        check("email", "homer@sub.blocked.test", false);
        check("email", "homer@also.test", true);
        check("email", "homer@whole.test", true);
        check("email", "jobs@acme.com", true);
        check("email", "homer@acme.com", false);
        check("external_id", "n/a", true);
        check("external_id", "whole.test", true);
    }

    #[test]
    fn without_a_subdomain_or_a_list() {
        assert!(!is_blocked("email", "support@acme.zendesk.com", None, &[]));
        assert!(is_blocked("email", "homer@example.com", None, &[]));
    }
}
