//! Organizations.

use std::borrow::Cow;

use serde_json::Map;
use serde_json::value::RawValue;

use super::context::{DecodeContext, NO_ID, NO_OBJECT, refuse};
use super::field::organization_key;
use super::json::{members, parts};
use super::lenient::Lenient;
use super::user::{custom_fields, put};
use crate::model::batch::Refused;
use crate::model::organization::OrganizationRecord;
use crate::model::stream::Stream;

parts! {
    /// An organization.
    Parts {
        id "id", name "name", external_id "external_id", domains "domain_names", tags "tags", notes "notes",
        details "details", group_id "group_id", shared_tickets "shared_tickets", shared_comments "shared_comments",
        custom "organization_fields", created_at "created_at", updated_at "updated_at", deleted_at "deleted_at",
    }
    left "url" | "abilities" | "result_type"
}

/// An organization. One with `deleted_at` is deleted and keeps its name.
pub fn organization(raw: &RawValue, _ctx: &DecodeContext<'_>) -> Result<OrganizationRecord, Refused> {
    let stream = Stream::Organizations.as_str();
    let parts = Parts::read(raw.get()).ok_or_else(|| refuse(stream, "", NO_OBJECT, raw))?;
    let id = Lenient::default().id("id", parts.id).value();
    let mut record = blank(id.ok_or_else(|| refuse(stream, "", NO_ID, raw))?);
    let mut lenient = Lenient::default();
    record.name = lenient.text("name", parts.name).filled();
    record.external_id = lenient.text("external_id", parts.external_id).filled();
    record.domains = lenient.words("domain_names", parts.domains).value().unwrap_or_default();
    put(&mut record.fields, "zd.tags", lenient.words("tags", parts.tags));
    put(&mut record.fields, "zd.notes", lenient.text("notes", parts.notes));
    put(&mut record.fields, "zd.details", lenient.text("details", parts.details));
    put(&mut record.fields, "zd.group_id", lenient.id("group_id", parts.group_id));
    put(&mut record.fields, "zd.shared_tickets", lenient.truth("shared_tickets", parts.shared_tickets));
    put(&mut record.fields, "zd.shared_comments", lenient.truth("shared_comments", parts.shared_comments));
    if let Some(custom) = parts.custom {
        custom_fields("organization_fields", custom, organization_key, &mut record.fields, &mut lenient);
    }
    record.created_at = lenient.time("created_at", parts.created_at).value();
    record.updated_at = lenient.time("updated_at", parts.updated_at).value();
    record.deleted_at = lenient.time("deleted_at", parts.deleted_at).value();
    record.unknown = lenient.unknown(parts.unknown);
    record.problems = lenient.problems;
    Ok(record)
}

/// An organization of which only the id is known.
pub(super) fn blank(record_id: String) -> OrganizationRecord {
    OrganizationRecord {
        record_id,
        name: None,
        external_id: None,
        domains: Vec::new(),
        fields: Map::new(),
        created_at: None,
        updated_at: None,
        deleted_at: None,
        unknown: None,
        problems: Vec::new(),
        complete: true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::testing::{context, mutated, raw, settings};
    use super::*;

    const ACME: &str = r#"{"url":"u","id":61,"name":"Acme","shared_tickets":false,"shared_comments":true,"external_id":"E1",
        "created_at":"2018-11-14T00:14:52Z","updated_at":"2018-11-14T00:54:22Z","domain_names":["b.test","a.test"],"details":"",
        "notes":null,"group_id":null,"tags":["vip"],"organization_fields":{"tags":1,"plan":"gold"},"deleted_at":null,"new":true}"#;

    fn check(part: &str, problems: &[&str]) {
        let settings = settings();
        let text = format!("{},{part}}}", ACME.strip_suffix('}').expect("an object"));
        let record = organization(&raw(&text), &context(&settings)).expect("an organization");
        assert_eq!(record.problems.iter().map(|problem| problem.part.as_str()).collect::<Vec<_>>(), problems, "{part}");
    }

    #[test]
    fn an_organization_with_everything() {
        let settings = settings();
        let acme = organization(&raw(ACME), &context(&settings)).expect("an organization");
        assert_eq!(
            (acme.record_id.as_str(), acme.name.as_deref(), acme.external_id.as_deref()),
            ("61", Some("Acme"), Some("E1"))
        );
        assert_eq!(acme.domains, ["a.test", "b.test"]);
        let expected = json!({"zd.tags": ["vip"], "zd.notes": null, "zd.details": "", "zd.group_id": null,
            "zd.shared_tickets": false, "zd.shared_comments": true, "zd.field.tags": 1, "zd.plan": "gold"});
        assert_eq!(Value::Object(acme.fields), expected);
        assert_eq!((acme.unknown, acme.deleted_at), (Some(json!({"new": true})), None));
        assert!(organization(&raw("{\"name\":\"x\"}"), &context(&settings)).is_err());
    }

    #[test]
    fn one_bad_part_costs_only_itself() {
        check("\"name\":1", &["name"]);
        check("\"domain_names\":[1]", &["domain_names"]);
        check("\"organization_fields\":null", &[]);
        check("\"deleted_at\":\"x\"", &["deleted_at"]);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in mutated(ACME)) {
            let settings = settings();
            let _ = organization(&raw(&text), &context(&settings));
        }
    }
}
