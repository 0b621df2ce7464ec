//! What filters look at, by the names under which changes are noted: a change that no audience needs is not even noted.

use crate::model::audience::Definition;
use crate::model::consent::Channel;
use crate::model::field::SystemField;
use crate::model::filter::{About, Condition, Field};
use crate::model::person::Person;
use std::collections::BTreeSet;

/// What an audience needs: `field:zd.tier`, `consent:email`, `organization`, `ticket`, `activity:zd.ticket.created`,
/// `audience:regulars`. When a person was created never changes.
pub fn needs(definition: &Definition) -> BTreeSet<String> {
    definition.filters().flat_map(|filter| filter.conditions()).filter_map(need).collect()
}

fn need(condition: &Condition) -> Option<String> {
    match &condition.about {
        About::Person(Field::Summary(_), _) | About::Tickets(..) => Some("ticket".into()),
        About::Person(Field::CreatedAt, _) => None,
        About::Person(field, _) => Some(format!("field:{}", field.name())),
        About::Consent { channel, .. } => Some(format!("consent:{}", channel.as_str())),
        About::Organization(_) => Some("organization".into()),
        About::Activity(activity) => Some(format!("activity:{}", activity.kind)),
        About::Member { audience, .. } => Some(format!("audience:{audience}")),
    }
}

/// What of a person changed, under the same names.
pub fn changed(before: &Person, after: &Person) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let system = SystemField::ALL.into_iter().filter(|field| before.system[*field] != after.system[*field]);
    all.extend(system.map(|field| format!("field:{}", field.as_str())));
    let keys: BTreeSet<&String> = before.fields.keys().chain(after.fields.keys()).collect();
    let custom = keys.into_iter().filter(|key| before.fields.get(*key) != after.fields.get(*key));
    all.extend(custom.map(|key| format!("field:{key}")));
    let consents = [
        (Channel::Email, before.email_consent, after.email_consent),
        (Channel::Sms, before.sms_consent, after.sms_consent),
    ];
    let consents = consents.into_iter().filter(|(_, before, after)| before != after);
    all.extend(consents.map(|(channel, ..)| format!("consent:{}", channel.as_str())));
    all
}
