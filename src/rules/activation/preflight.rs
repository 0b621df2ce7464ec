//! Whether the target fields of an account can take what a mapping gives.

use super::row::target;
use super::value::{form, pattern};
use crate::model::activation::{Activation, AudiencePart, KeyKind, Mapping, Origin, RollupPart, Target};
use crate::model::filter::{Field, Summary};
use crate::model::push::{ANY_FIELD, Fault, TargetField, UNKNOWN};
use crate::model::source::SELL_RETIRES;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a look at the fields found.
#[derive(Debug, Default)]
pub struct Checked {
    /// What keeps the activation from running.
    pub problems: Vec<Fault>,
    /// Custom fields that are not there, as they would have to be.
    pub missing: Vec<TargetField>,
    /// What should be known before it runs.
    pub remarks: Vec<String>,
}

/// Custom fields that an activation names in an account that does not tell which it has: they cannot be checked. Empty where it does.
pub fn unknown(activation: &Activation, fields: &[TargetField]) -> Vec<TargetField> {
    let prefix = format!("{}.", activation.target.custom_prefix());
    if !fields.iter().any(|field| field.name.strip_prefix(&prefix) == Some(ANY_FIELD)) {
        return Vec::new();
    }
    let names = activation.mappings.iter().map(|mapping| &mapping.to);
    let custom: BTreeSet<&String> = names.filter(|name| name.starts_with(&prefix)).collect();
    custom.into_iter().map(|name| TargetField::unknown(name.clone())).collect()
}

/// Checks the mappings and the key of an activation against the fields of its account.
pub fn check(activation: &Activation, fields: &[TargetField], region: Option<&str>) -> Checked {
    let mut checked = Checked::default();
    for mapping in &activation.mappings {
        match target(&mapping.to, fields) {
            Err(fault) => checked.refuse(activation, fault, Some(mapping)),
            Ok(field) => checked.fits(activation, mapping, field, region),
        }
    }
    if let KeyKind::Field(name) = &activation.key.by
        && let Err(fault) = target(name, fields)
    {
        checked.refuse(activation, fault, None);
    }
    if activation.target == Target::SellContacts {
        checked.remarks.push(SELL_RETIRES.into());
    }
    checked
}

impl Checked {
    /// Notes a field that is not there or switched off, and what it would have to be.
    fn refuse(&mut self, activation: &Activation, fault: Fault, mapping: Option<&Mapping>) {
        let name = fault.field.clone().unwrap_or_default();
        let is_custom = name.strip_prefix(activation.target.custom_prefix()).is_some_and(|rest| rest.starts_with('.'));
        if fault.class == "field_missing" && is_custom && !self.missing.iter().any(|field| field.name == name) {
            self.missing.push(wanted_field(&name, mapping.map(|mapping| &mapping.from)));
        }
        self.problems.push(fault);
    }

    /// Notes what is known beforehand not to fit.
    fn fits(&mut self, activation: &Activation, mapping: &Mapping, field: &TargetField, region: Option<&str>) {
        let given = match &mapping.from {
            Origin::Constant(value) => vec![value.clone()],
            Origin::Audience(_, AudiencePart::Status) => vec![json!("realized"), json!("exited")],
            Origin::Audience(..) | Origin::Rollup(_, RollupPart::First | RollupPart::Last) => {
                vec![json!("2026-01-31T12:00:00+00:00")]
            }
            Origin::Rollup(_, RollupPart::Count) => vec![json!(1)],
            Origin::Consent(_) => vec![json!("granted"), json!("withdrawn")],
            _ => Vec::new(),
        };
        let formed = |value: &Value| form(value, field, activation.phones, region).err();
        self.problems.extend(given.iter().find_map(formed));
        if field.pattern.as_deref().is_some_and(|text| pattern(text).is_none()) {
            self.remarks
                .push(format!("the pattern of {} cannot be read here: only Zendesk checks its values", mapping.to));
        }
        if field.kind == UNKNOWN {
            let words = "cannot be checked, since the account does not tell its custom fields: a wrong name or value shows in the run";
            self.remarks.push(format!("{} {words}", mapping.to));
        }
        if mapping.to == "email" {
            self.remarks.push(
                "an e-mail address that differs is added to the user as a secondary one; the primary one stays".into(),
            );
        }
    }
}

/// The field that an origin needs: a dropdown for statuses, a date for days, an integer for counts, else a text.
fn wanted_field(name: &str, from: Option<&Origin>) -> TargetField {
    use Summary::{BadRatings, FirstTicketAt, GoodRatings, LastRatingAt, LastTicketAt, OpenTickets, TicketsTotal};
    let (kind, options): (&str, &[&str]) = match from {
        Some(Origin::Audience(_, AudiencePart::Status)) => ("dropdown", &["realized", "exited"]),
        Some(Origin::Consent(_)) => ("dropdown", &["granted", "withdrawn"]),
        Some(Origin::Audience(..) | Origin::Rollup(_, RollupPart::First | RollupPart::Last)) => ("date", &[]),
        Some(Origin::Field(Field::CreatedAt | Field::Summary(FirstTicketAt | LastTicketAt | LastRatingAt))) => {
            ("date", &[])
        }
        Some(Origin::Rollup(_, RollupPart::Count)) => ("integer", &[]),
        Some(Origin::Field(Field::Summary(OpenTickets | TicketsTotal | GoodRatings | BadRatings))) => ("integer", &[]),
        Some(Origin::Constant(Value::Bool(_))) => ("checkbox", &[]),
        _ => ("text", &[]),
    };
    TargetField {
        name: name.to_owned(),
        kind: kind.to_owned(),
        active: true,
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        pattern: None,
        max_chars: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::activation::read::read;

    #[test]
    fn fields_are_looked_at_before_anything_is_sent() {
        let activation = read(
            "name = 'a'\nsource = 'acme'\ntarget = 'users'\n[rows]\naudiences = ['vips']\n[key]\nby = 'record_id'\n
             [[map]]\nto = 'user_fields.vip'\naudience = 'vips'\n[[map]]\nto = 'user_fields.tier'\nvalue = 'lead'\n
             [[map]]\nto = 'user_fields.count'\nfrom = 'rollup.zd.ticket.created.count'\n[[map]]\nto = 'user_fields.off'\nvalue = 'x'\n",
        )
        .expect("a file");
        let field = |name: &str, kind: &str, active: bool| TargetField {
            name: format!("user_fields.{name}"),
            kind: kind.into(),
            active,
            options: vec!["gold".into()],
            pattern: None,
            max_chars: None,
        };
        let checked = check(&activation, &[field("tier", "dropdown", true), field("off", "text", false)], None);
        let problems: Vec<_> = checked
            .problems
            .iter()
            .map(|fault| (fault.field.as_deref().unwrap_or_default(), fault.class.as_str()))
            .collect();
        let expected = [
            ("user_fields.vip", "field_missing"),
            ("user_fields.tier", "option"),
            ("user_fields.count", "field_missing"),
            ("user_fields.off", "field_inactive"),
        ];
        assert_eq!(problems, expected);
        let missing: Vec<_> = checked.missing.iter().map(|field| (field.kind.as_str(), field.options.len())).collect();
        assert_eq!(missing, [("dropdown", 2), ("integer", 0)]);
    }
}
