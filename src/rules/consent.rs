//! What a consent ledger comes to: the fold, the merge of two ledgers, and the opt-in of new contacts.

use crate::model::consent::{Channel, ConsentAction, ConsentEvent, ConsentState, Evidence};
use crate::model::person::ConsentGiven;
use chrono::{DateTime, Utc};

/// The state of one channel (C2, C3): its events in order of `occurred_at`, ties by `id`, whatever their order in the
/// slice.
///
/// - A complaint or bounce suppresses; only `Unsuppress` lifts it, and what was underneath shows again.
/// - After a withdrawal only a confirmed grant grants again; a single grant and an assertion do nothing.
/// - After a denial a later act of the person grants; an assertion does nothing.
/// - An assertion therefore grants only where nothing is known (R43: a source never turns a no into a yes).
/// - A request for confirmation makes a grant that is not confirmed pending, and so it ends as unknown if nobody
///   confirms (C5).
///
/// The events must all be of one channel; [`fold_channel`] takes them out of a mixed ledger.
pub fn fold(events: &[ConsentEvent]) -> ConsentState {
    fold_sorted(events.iter().collect()).state()
}

/// [`fold`] of the events of `channel` only (C3: the channels are independent).
pub fn fold_channel(events: &[ConsentEvent], channel: Channel) -> ConsentState {
    fold_sorted(events.iter().filter(|event| event.channel == channel).collect()).state()
}

/// The state of one channel after two people became one (C4): the more restrictive of the two, unless a confirmed
/// grant is newer than every withdrawal. A suppression of either stays. Nothing known on one side changes nothing.
///
/// The events must all be of one channel. The joined ledger may fold to something looser (a single grant newer than a
/// denial), so a merge that moves the events also records this state, as [`merge_action`] says.
pub fn merge_restrictive(a: &[ConsentEvent], b: &[ConsentEvent]) -> ConsentState {
    let joined = fold_sorted(a.iter().chain(b).collect());
    let (a, b) = (fold(a), fold(b));
    if joined.basis == Basis::Confirmed && ![a, b].contains(&ConsentState::Suppressed) {
        return joined.state();
    }
    let of_either = most_restrictive(a, b);
    match restriction(of_either) > restriction(ConsentState::Granted) {
        true => most_restrictive(of_either, joined.state()),
        false => joined.state(),
    }
}

/// The event that a merge must append so that the joined ledger folds to what [`merge_restrictive`] decided; none if
/// it already does. `events` is the joined ledger of one channel.
pub fn merge_action(events: &[ConsentEvent], decided: ConsentState) -> Option<ConsentAction> {
    if fold(events) == decided {
        return None;
    }
    match decided {
        ConsentState::Suppressed => Some(ConsentAction::Suppress),
        ConsentState::Withdrawn => Some(ConsentAction::Withdraw),
        ConsentState::Denied => Some(ConsentAction::Deny),
        ConsentState::Pending => Some(ConsentAction::Request),
        ConsentState::Granted | ConsentState::Unknown => None,
    }
}

/// What a source writes for a person it has just created (R41, R42), each with [`Evidence::OperatorAssertion`].
///
/// A ticked box grants; an unticked box writes nothing, so that the state stays unknown and not denied. `barred` are
/// the channels whose address the ledger or the suppression list knows as one that [`bars_opt_in`]: they are never
/// granted (R43, R46). People who were there before are never given to this.
pub fn opt_in_on_create(email_switch: bool, sms_switch: bool, barred: &[Channel]) -> Vec<(Channel, ConsentAction)> {
    [(Channel::Email, email_switch), (Channel::Sms, sms_switch)]
        .into_iter()
        .filter(|(channel, ticked)| *ticked && !barred.contains(channel))
        .map(|(channel, _)| (channel, ConsentAction::Grant))
        .collect()
}

/// Whether a state that is already on record keeps an operator's assertion from granting (R43, R46).
pub fn bars_opt_in(state: ConsentState) -> bool {
    match state {
        ConsentState::Unknown | ConsentState::Granted => false,
        ConsentState::Denied | ConsentState::Withdrawn | ConsentState::Pending | ConsentState::Suppressed => true,
    }
}

/// Whether a consent that a record brings says something that the person's ledger does not say already, so that the same
/// file again adds nothing.
///
/// With a time: no such event of that time is known. Without one nobody knows whether it came before or after what is
/// known: a grant then counts only where nothing is known, and a refusal where it changes the state.
pub fn is_news(ledger: &[ConsentEvent], given: &ConsentGiven, now: DateTime<Utc>) -> bool {
    let of_channel: Vec<ConsentEvent> = ledger.iter().filter(|event| event.channel == given.channel).cloned().collect();
    if let Some(at) = given.occurred_at {
        return !of_channel.iter().any(|event| event.action == given.action && event.occurred_at == at);
    }
    let before = fold(&of_channel);
    match given.action {
        ConsentAction::Grant | ConsentAction::Confirm => before == ConsentState::Unknown,
        _ => {
            let added = event_of(given, i64::MAX, now);
            fold(&[of_channel, vec![added]].concat()) != before
        }
    }
}

/// A consent as an event of the ledger: now, where the record does not say when.
pub fn event_of(given: &ConsentGiven, id: i64, now: DateTime<Utc>) -> ConsentEvent {
    ConsentEvent {
        id,
        channel: given.channel,
        action: given.action,
        evidence: given.evidence,
        occurred_at: given.occurred_at.unwrap_or(now),
    }
}

/// What the latest word was, below suppression and pending requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Basis {
    #[default]
    Nothing,
    /// Granted by assertion or by a single act.
    Granted,
    /// Granted and confirmed.
    Confirmed,
    Denied,
    Withdrawn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Fold {
    basis: Basis,
    pending: bool,
    suppressed: bool,
}

impl Fold {
    fn state(self) -> ConsentState {
        match (self.suppressed, self.basis) {
            (true, _) => ConsentState::Suppressed,
            (false, Basis::Withdrawn) => ConsentState::Withdrawn,
            (false, Basis::Confirmed) => ConsentState::Granted,
            (false, _) if self.pending => ConsentState::Pending,
            (false, Basis::Denied) => ConsentState::Denied,
            (false, Basis::Granted) => ConsentState::Granted,
            (false, Basis::Nothing) => ConsentState::Unknown,
        }
    }

    fn apply(self, event: &ConsentEvent) -> Fold {
        match event.action {
            ConsentAction::Suppress => Fold { suppressed: true, ..self },
            ConsentAction::Unsuppress => Fold { suppressed: false, ..self },
            ConsentAction::Withdraw => self.refused(Basis::Withdrawn, event.evidence),
            ConsentAction::Deny => self.refused(Basis::Denied, event.evidence),
            ConsentAction::Grant | ConsentAction::Confirm => self.granted(event.evidence),
            ConsentAction::Request => self.requested(),
            ConsentAction::Expire => Fold { pending: false, ..self },
        }
    }

    /// A no. A denial does not soften a withdrawal, and one by complaint or bounce suppresses as well.
    fn refused(self, basis: Basis, evidence: Evidence) -> Fold {
        let withdrawal = matches!(evidence, Evidence::SubjectWithdrawal | Evidence::AdminWithdrawal);
        let complaint = evidence == Evidence::ComplaintOrBounce;
        let basis = match withdrawal || complaint || self.basis == Basis::Withdrawn {
            true => Basis::Withdrawn,
            false => basis,
        };
        Fold { basis, pending: false, suppressed: self.suppressed || complaint }
    }

    /// A yes, as strong as its evidence and not as its action: a source that says "confirmed" still only asserts.
    fn granted(self, evidence: Evidence) -> Fold {
        match (evidence, self.basis) {
            (Evidence::ConfirmedGrant, _) => Fold { basis: Basis::Confirmed, pending: false, ..self },
            (Evidence::SingleGrant, Basis::Nothing | Basis::Denied) if !self.pending => {
                Fold { basis: Basis::Granted, ..self }
            }
            (Evidence::OperatorAssertion, Basis::Nothing) if !self.pending => Fold { basis: Basis::Granted, ..self },
            _ => self,
        }
    }

    /// A grant that has to be confirmed is none until it is (C5).
    fn requested(self) -> Fold {
        match self.basis {
            Basis::Confirmed | Basis::Withdrawn => self,
            Basis::Nothing | Basis::Granted => Fold { basis: Basis::Nothing, pending: true, ..self },
            Basis::Denied => Fold { pending: true, ..self },
        }
    }
}

fn fold_sorted(mut events: Vec<&ConsentEvent>) -> Fold {
    events.sort_unstable_by_key(|event| (event.occurred_at, event.id, event.action, event.evidence));
    events.into_iter().fold(Fold::default(), Fold::apply)
}

fn most_restrictive(a: ConsentState, b: ConsentState) -> ConsentState {
    if restriction(a) >= restriction(b) { a } else { b }
}

/// How much a state forbids. Unknown is below granted here: it says nothing against the other side.
fn restriction(state: ConsentState) -> u8 {
    match state {
        ConsentState::Unknown => 0,
        ConsentState::Granted => 1,
        ConsentState::Pending => 2,
        ConsentState::Denied => 3,
        ConsentState::Withdrawn => 4,
        ConsentState::Suppressed => 5,
    }
}

#[cfg(test)]
mod tests {
    use ConsentAction as A;
    use Evidence as E;
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    type Step = (i64, A, E);

    const ASSERTED: (A, E) = (A::Grant, E::OperatorAssertion);
    const SINGLE: (A, E) = (A::Grant, E::SingleGrant);
    const CONFIRMED: (A, E) = (A::Confirm, E::ConfirmedGrant);
    const REQUESTED: (A, E) = (A::Request, E::SingleGrant);
    const EXPIRED: (A, E) = (A::Expire, E::OperatorAssertion);
    const DENIED: (A, E) = (A::Deny, E::SingleGrant);
    const LEFT: (A, E) = (A::Withdraw, E::SubjectWithdrawal);
    const REMOVED: (A, E) = (A::Withdraw, E::AdminWithdrawal);
    const BOUNCED: (A, E) = (A::Suppress, E::ComplaintOrBounce);
    const LIFTED: (A, E) = (A::Unsuppress, E::OperatorAssertion);

    fn event(id: i64, (second, action, evidence): Step) -> ConsentEvent {
        let occurred_at = DateTime::from_timestamp(second, 0).expect("a small time");
        ConsentEvent { id, channel: Channel::Email, action, evidence, occurred_at }
    }

    fn ledger(first_id: i64, steps: &[(A, E)]) -> Vec<ConsentEvent> {
        (first_id..).zip(steps).map(|(id, (action, evidence))| event(id, (id, *action, *evidence))).collect()
    }

    fn check(steps: &[(A, E)], expected: ConsentState) {
        assert_eq!(fold(&ledger(1, steps)), expected, "{steps:?}");
    }

    #[test]
    fn the_same_said_again_is_no_news() {
        let given = |action, evidence, at: Option<i64>| ConsentGiven {
            channel: Channel::Email,
            action,
            evidence,
            occurred_at: at.and_then(|second| DateTime::from_timestamp(second, 0)),
            wording: None,
        };
        let check = |ledger: &[Step], (action, evidence): (A, E), at: Option<i64>, expected: bool| {
            let ledger: Vec<_> = ledger.iter().enumerate().map(|(id, step)| event(id as i64, *step)).collect();
            let now = DateTime::from_timestamp(1_000_000, 0).expect("a time");
            assert_eq!(is_news(&ledger, &given(action, evidence, at), now), expected, "{ledger:?} {action:?} {at:?}");
        };
        let at = |second, (action, evidence): (A, E)| (second, action, evidence);
        check(&[], SINGLE, None, true);
        check(&[at(1, SINGLE)], SINGLE, None, false);
        check(&[at(1, SINGLE)], SINGLE, Some(1), false);
        check(&[at(1, SINGLE)], SINGLE, Some(2), true);
        check(&[at(1, SINGLE), at(2, DENIED)], SINGLE, None, false);
        check(&[at(1, SINGLE), at(2, DENIED)], SINGLE, Some(3), true);
        check(&[at(1, LEFT)], CONFIRMED, None, false);
        check(&[at(1, SINGLE)], REMOVED, None, true);
        check(&[at(1, LEFT)], REMOVED, None, false);
        check(&[at(1, LEFT)], DENIED, None, false);
        check(&[at(1, DENIED)], REMOVED, None, true);
        check(&[at(1, LEFT), at(2, CONFIRMED)], REMOVED, None, true);
    }

    #[test]
    fn the_fold_c2_c3() {
        check(&[], ConsentState::Unknown);
        check(&[ASSERTED], ConsentState::Granted);
        check(&[SINGLE], ConsentState::Granted);
        check(&[DENIED], ConsentState::Denied);
        check(&[DENIED, ASSERTED], ConsentState::Denied);
        check(&[DENIED, SINGLE], ConsentState::Granted);
        check(&[CONFIRMED, DENIED], ConsentState::Denied);
        check(&[ASSERTED, LEFT], ConsentState::Withdrawn);
        check(&[CONFIRMED, LEFT], ConsentState::Withdrawn);
        check(&[LEFT, ASSERTED], ConsentState::Withdrawn);
        check(&[LEFT, SINGLE], ConsentState::Withdrawn);
        check(&[LEFT, CONFIRMED], ConsentState::Granted);
        check(&[REMOVED, CONFIRMED], ConsentState::Granted);
        check(&[REMOVED, ASSERTED], ConsentState::Withdrawn);
        check(&[LEFT, DENIED, SINGLE], ConsentState::Withdrawn);
        check(&[(A::Deny, E::SubjectWithdrawal), SINGLE], ConsentState::Withdrawn);
        check(&[LEFT, (A::Confirm, E::OperatorAssertion)], ConsentState::Withdrawn);
        check(&[LEFT, CONFIRMED, ASSERTED], ConsentState::Granted);
        check(&[LEFT, CONFIRMED, LEFT], ConsentState::Withdrawn);
    }

    #[test]
    fn only_unsuppress_lifts_a_complaint_c2() {
        check(&[BOUNCED], ConsentState::Suppressed);
        check(&[BOUNCED, CONFIRMED], ConsentState::Suppressed);
        check(&[CONFIRMED, BOUNCED, LIFTED], ConsentState::Granted);
        check(&[LEFT, BOUNCED, LIFTED], ConsentState::Withdrawn);
        check(&[BOUNCED, LIFTED, BOUNCED], ConsentState::Suppressed);
        check(&[SINGLE, (A::Withdraw, E::ComplaintOrBounce), CONFIRMED], ConsentState::Suppressed);
        check(&[SINGLE, (A::Withdraw, E::ComplaintOrBounce), LIFTED], ConsentState::Withdrawn);
    }

    #[test]
    fn double_opt_in_c5() {
        check(&[REQUESTED], ConsentState::Pending);
        check(&[REQUESTED, CONFIRMED], ConsentState::Granted);
        check(&[REQUESTED, EXPIRED], ConsentState::Unknown);
        check(&[SINGLE, REQUESTED], ConsentState::Pending);
        check(&[SINGLE, REQUESTED, EXPIRED], ConsentState::Unknown);
        check(&[REQUESTED, SINGLE], ConsentState::Pending);
        check(&[REQUESTED, ASSERTED], ConsentState::Pending);
        check(&[REQUESTED, EXPIRED, SINGLE], ConsentState::Granted);
        check(&[CONFIRMED, REQUESTED], ConsentState::Granted);
        check(&[DENIED, REQUESTED], ConsentState::Pending);
        check(&[DENIED, REQUESTED, EXPIRED], ConsentState::Denied);
        check(&[LEFT, REQUESTED], ConsentState::Withdrawn);
        check(&[LEFT, REQUESTED, CONFIRMED], ConsentState::Granted);
        check(&[REQUESTED, LEFT, EXPIRED], ConsentState::Withdrawn);
    }

    #[test]
    fn a_tie_goes_by_id_c2() {
        let left = event(2, (5, A::Withdraw, E::SubjectWithdrawal));
        let confirmed = event(1, (5, A::Confirm, E::ConfirmedGrant));
        assert_eq!(fold(&[left, confirmed]), ConsentState::Withdrawn);
    }

    #[test]
    fn channels_are_independent_c3() {
        let mut events = ledger(1, &[SINGLE, LEFT]);
        events[1].channel = Channel::Sms;
        assert_eq!(fold_channel(&events, Channel::Email), ConsentState::Granted);
        assert_eq!(fold_channel(&events, Channel::Sms), ConsentState::Withdrawn);
    }

    /// `b` happened after `a`.
    fn check_merge(a: &[(A, E)], b: &[(A, E)], expected: ConsentState) {
        let (a, b) = (ledger(1, a), ledger(100, b));
        assert_eq!(merge_restrictive(&a, &b), expected, "{a:?} {b:?}");
        assert_eq!(merge_restrictive(&b, &a), expected, "{b:?} {a:?}");
    }

    #[test]
    fn the_more_restrictive_wins_c4() {
        check_merge(&[], &[], ConsentState::Unknown);
        check_merge(&[SINGLE], &[], ConsentState::Granted);
        check_merge(&[LEFT], &[], ConsentState::Withdrawn);
        check_merge(&[LEFT], &[SINGLE], ConsentState::Withdrawn);
        check_merge(&[LEFT], &[ASSERTED], ConsentState::Withdrawn);
        check_merge(&[LEFT], &[REQUESTED, CONFIRMED], ConsentState::Granted);
        check_merge(&[CONFIRMED], &[LEFT], ConsentState::Withdrawn);
        check_merge(&[DENIED], &[SINGLE], ConsentState::Denied);
        check_merge(&[DENIED], &[CONFIRMED], ConsentState::Granted);
        check_merge(&[SINGLE], &[REQUESTED], ConsentState::Pending);
        check_merge(&[CONFIRMED], &[REQUESTED], ConsentState::Granted);
        check_merge(&[BOUNCED], &[CONFIRMED], ConsentState::Suppressed);
        check_merge(&[BOUNCED], &[LIFTED], ConsentState::Suppressed);
        check_merge(&[SINGLE], &[REQUESTED, EXPIRED], ConsentState::Unknown);
    }

    #[test]
    fn new_contacts_r41_r42_r46() {
        let grant = |channel| (channel, A::Grant);
        for (email, sms, barred, expected) in [
            (false, false, &[][..], vec![]),
            (true, false, &[], vec![grant(Channel::Email)]),
            (true, true, &[], vec![grant(Channel::Email), grant(Channel::Sms)]),
            (true, true, &[Channel::Email], vec![grant(Channel::Sms)]),
            (true, false, &[Channel::Email, Channel::Sms], vec![]),
        ] {
            assert_eq!(opt_in_on_create(email, sms, barred), expected, "{email} {sms} {barred:?}");
        }
        let open: Vec<_> = ConsentState::ALL.into_iter().filter(|state| !bars_opt_in(*state)).collect();
        assert_eq!(open, [ConsentState::Unknown, ConsentState::Granted]);
    }

    fn any_ledger() -> impl Strategy<Value = Vec<ConsentEvent>> {
        let step = (0..20i64, 0..A::ALL.len(), 0..E::ALL.len(), 0..40i64);
        let step =
            step.prop_map(|(second, action, evidence, id)| event(id, (second, A::ALL[action], E::ALL[evidence])));
        prop::collection::vec(step, 0..12)
    }

    fn any_ledger_twice() -> impl Strategy<Value = (Vec<ConsentEvent>, Vec<ConsentEvent>)> {
        any_ledger().prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle()))
    }

    proptest! {
        #[test]
        fn order_does_not_matter((events, shuffled) in any_ledger_twice()) {
            prop_assert_eq!(fold(&events), fold(&shuffled));
        }

        #[test]
        fn a_later_assertion_never_changes_a_no(events in any_ledger()) {
            let before = fold(&events);
            let mut after = events;
            after.push(event(1_000, (1_000, A::Grant, E::OperatorAssertion)));
            match bars_opt_in(before) {
                true => prop_assert_eq!(fold(&after), before),
                false => prop_assert_eq!(fold(&after), ConsentState::Granted),
            }
        }

        #[test]
        fn a_later_withdrawal_always_wins(events in any_ledger()) {
            let mut after = events;
            after.push(event(1_000, (1_000, A::Withdraw, E::SubjectWithdrawal)));
            prop_assert!(matches!(fold(&after), ConsentState::Withdrawn | ConsentState::Suppressed));
        }

        #[test]
        fn a_merge_is_even_handed(a in any_ledger(), b in any_ledger()) {
            let merged = merge_restrictive(&a, &b);
            prop_assert_eq!(merged, merge_restrictive(&b, &a));
            prop_assert_eq!(merge_restrictive(&a, &[]), fold(&a));
            prop_assert_eq!(merge_restrictive(&a, &a), fold(&a));
            let refused = |state| matches!(state, ConsentState::Withdrawn | ConsentState::Denied);
            if merged == ConsentState::Granted && (refused(fold(&a)) || refused(fold(&b))) {
                let confirmed = |event: &ConsentEvent| event.evidence == E::ConfirmedGrant;
                prop_assert!(a.iter().chain(&b).any(confirmed), "only a confirmed grant undoes a refusal");
            }
        }

        #[test]
        fn what_a_merge_decided_is_what_its_ledger_says(a in any_ledger(), b in any_ledger()) {
            let decided = merge_restrictive(&a, &b);
            let mut joined = [a, b].concat();
            if let Some(action) = merge_action(&joined, decided) {
                joined.push(event(1_000, (1_000, action, E::OperatorAssertion)));
            }
            prop_assert_eq!(fold(&joined), decided);
        }
    }
}
