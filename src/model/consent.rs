//! Consent: the words of its ledger, one event of it, and the state that the events come to.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What a person can be reached by. Each has its own consent (C3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Mail.
    Email,
    /// Text messages.
    Sms,
}

/// What happened to a consent (C1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentAction {
    /// Permission was given, or somebody says that it was.
    Grant,
    /// Asked and refused.
    Deny,
    /// A permission was taken back.
    Withdraw,
    /// Double opt-in: the confirmation was asked for (C5).
    Request,
    /// Double opt-in: the person confirmed (C5).
    Confirm,
    /// Double opt-in: nobody confirmed in time (C5).
    Expire,
    /// The address must not be sent to, whatever its owner permits (C6).
    Suppress,
    /// The address may be sent to again (C6).
    Unsuppress,
}

/// What a ledger comes to on one channel. Sending requires `Granted` (C3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentState {
    /// Nothing is known; not the same as `Denied` (C3).
    #[default]
    Unknown,
    /// May be sent to.
    Granted,
    /// Said no when asked.
    Denied,
    /// Said yes once and took it back.
    Withdrawn,
    /// Asked to confirm and has not yet (C5).
    Pending,
    /// The address complained or bounced (C6).
    Suppressed,
}

/// Who stands behind an event: the strength by which it is weighed (C2), weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// An operator, or a source for him, says that consent exists (R41). All that a source can ever bring.
    OperatorAssertion,
    /// One act of the person, such as a ticked box.
    SingleGrant,
    /// An act of the person, confirmed from the address itself, or an administrator's deliberate re-subscription.
    ConfirmedGrant,
    /// An administrator unsubscribed the person.
    AdminWithdrawal,
    /// The person unsubscribed.
    SubjectWithdrawal,
    /// The address complained or bounced for good.
    ComplaintOrBounce,
}

/// One line of the ledger, as far as the rules weigh it (C1). `id` breaks ties of `occurred_at`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConsentEvent {
    /// The ledger's own number.
    pub id: i64,
    /// The channel it speaks of.
    pub channel: Channel,
    /// What happened.
    pub action: ConsentAction,
    /// Who stands behind it.
    pub evidence: Evidence,
    /// When it happened, not when it was recorded.
    pub occurred_at: DateTime<Utc>,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Channel; 2] = [Channel::Email, Channel::Sms];

    /// As it stands in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Email => "email",
            Channel::Sms => "sms",
        }
    }

    /// From what stands in Postgres.
    pub fn parse(text: &str) -> Option<Channel> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == text)
    }
}

impl ConsentAction {
    /// Every action.
    pub const ALL: [ConsentAction; 8] = [
        ConsentAction::Grant,
        ConsentAction::Deny,
        ConsentAction::Withdraw,
        ConsentAction::Request,
        ConsentAction::Confirm,
        ConsentAction::Expire,
        ConsentAction::Suppress,
        ConsentAction::Unsuppress,
    ];

    /// As it stands in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            ConsentAction::Grant => "grant",
            ConsentAction::Deny => "deny",
            ConsentAction::Withdraw => "withdraw",
            ConsentAction::Request => "request",
            ConsentAction::Confirm => "confirm",
            ConsentAction::Expire => "expire",
            ConsentAction::Suppress => "suppress",
            ConsentAction::Unsuppress => "unsuppress",
        }
    }

    /// From what stands in Postgres.
    pub fn parse(text: &str) -> Option<ConsentAction> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

impl ConsentState {
    /// Every state.
    pub const ALL: [ConsentState; 6] = [
        ConsentState::Unknown,
        ConsentState::Granted,
        ConsentState::Denied,
        ConsentState::Withdrawn,
        ConsentState::Pending,
        ConsentState::Suppressed,
    ];

    /// As it stands in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            ConsentState::Unknown => "unknown",
            ConsentState::Granted => "granted",
            ConsentState::Denied => "denied",
            ConsentState::Withdrawn => "withdrawn",
            ConsentState::Pending => "pending",
            ConsentState::Suppressed => "suppressed",
        }
    }

    /// From what stands in Postgres.
    pub fn parse(text: &str) -> Option<ConsentState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// C3: only what was granted may be sent to.
    pub fn may_send(self) -> bool {
        self == ConsentState::Granted
    }
}

impl Evidence {
    /// Every evidence, weakest first.
    pub const ALL: [Evidence; 6] = [
        Evidence::OperatorAssertion,
        Evidence::SingleGrant,
        Evidence::ConfirmedGrant,
        Evidence::AdminWithdrawal,
        Evidence::SubjectWithdrawal,
        Evidence::ComplaintOrBounce,
    ];

    /// As it stands in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Evidence::OperatorAssertion => "operator_assertion",
            Evidence::SingleGrant => "single_grant",
            Evidence::ConfirmedGrant => "confirmed_grant",
            Evidence::AdminWithdrawal => "admin_withdrawal",
            Evidence::SubjectWithdrawal => "subject_withdrawal",
            Evidence::ComplaintOrBounce => "complaint_or_bounce",
        }
    }

    /// From what stands in Postgres.
    pub fn parse(text: &str) -> Option<Evidence> {
        Self::ALL.into_iter().find(|evidence| evidence.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text in Postgres reads back, and is the text in JSON.
    fn check<T: Serialize + PartialEq + std::fmt::Debug + Copy>(
        all: &[T],
        as_str: fn(T) -> &'static str,
        parse: fn(&str) -> Option<T>,
    ) {
        for value in all {
            let text = as_str(*value);
            assert_eq!(parse(text), Some(*value));
            assert_eq!(serde_json::to_value(value).expect("a word"), text);
        }
        assert_eq!(parse("GRANTED?"), None);
    }

    #[test]
    fn words_read_back() {
        check(&Channel::ALL, Channel::as_str, Channel::parse);
        check(&ConsentAction::ALL, ConsentAction::as_str, ConsentAction::parse);
        check(&ConsentState::ALL, ConsentState::as_str, ConsentState::parse);
        check(&Evidence::ALL, Evidence::as_str, Evidence::parse);
    }

    #[test]
    fn only_granted_may_be_sent_to_c3() {
        let sendable: Vec<_> = ConsentState::ALL.into_iter().filter(|state| state.may_send()).collect();
        assert_eq!(sendable, [ConsentState::Granted]);
    }
}
