//! The state of a job that Zendesk works off, with a result per record.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::fault;
use super::json::{Json, elements, member, members, parts, view};
use super::lenient::{Lenient, Said};
use crate::model::push::Fault;

/// Rows of a job that are read; the jobs that we know take 100 records.
const MAX_ROWS: usize = 1_000;

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobStatus {
    /// Its id.
    pub id: String,
    /// queued, working, failed, completed, or what else Zendesk says: whatever is unknown is not yet an end.
    pub status: String,
    /// Records in all.
    pub total: Option<i64>,
    /// Records done.
    pub progress: Option<i64>,
    /// A result per record. Not in the order of the request: `index` tells, or the ids.
    pub rows: Vec<JobRow>,
}

/// What became of one record. `completed` does not mean that every one succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobRow {
    /// Its place in the request.
    pub index: Option<usize>,
    /// Its id in Zendesk.
    pub id: Option<String>,
    /// Its id in the operator's own systems.
    pub external_id: Option<String>,
    /// Its address, where Zendesk tells it.
    pub email: Option<String>,
    /// False where Zendesk says so or names an error.
    pub success: bool,
    /// create, update, delete …
    pub action: Option<String>,
    /// The name of the error.
    pub error: Option<String>,
    /// Why it was refused, without values; none for a success.
    pub fault: Option<Fault>,
}

parts! {
    /// A job.
    Parts { id "id", status "status", total "total", progress "progress", results "results", }
    left "url" | "message" | "job_type"
}

parts! {
    /// A result.
    Row {
        index "index", id "id", external_id "external_id", email "email", success "success", action "action", status "status",
        error "error", errors "errors", details "details",
    }
    left "account_id"
}

/// A job, with or without its wrapper `job_status`. None when it has no id.
pub fn job_status(raw: &RawValue) -> Option<JobStatus> {
    let inner = member(raw, "job_status").unwrap_or(raw);
    let parts = Parts::read(inner.get())?;
    let mut lenient = Lenient::default();
    let mut job = JobStatus {
        id: lenient.text("id", parts.id).filled()?,
        status: lenient.text("status", parts.status).value().unwrap_or_default().to_lowercase(),
        total: lenient.number("total", parts.total).value(),
        progress: lenient.number("progress", parts.progress).value(),
        rows: Vec::new(),
    };
    match parts.results.map(|results| (view(results), results)) {
        Some((Json::Array, list)) => {
            elements(list.get(), |row| {
                if job.rows.len() < MAX_ROWS {
                    job.rows.extend(Row::read(row.get()).map(|row| row.decode()));
                }
            });
        }
        // One result for all of them.
        Some((Json::Object, one)) => job.rows.extend(Row::read(one.get()).map(|row| row.decode())),
        _ => {}
    }
    Some(job)
}

impl Row<'_> {
    fn decode(&self) -> JobRow {
        let mut lenient = Lenient::default();
        let error = lenient.text("error", self.error.or(self.errors)).filled();
        let failed = lenient.truth("success", self.success) == Said::Is(false);
        let unnamed = [self.error, self.errors].into_iter().flatten().any(|raw| !matches!(view(raw), Json::Null));
        let success = !failed && !unnamed;
        // Rows of creations say how they ended, and no action.
        let created = matches!(self.status.map(view), Some(Json::Text(status)) if status == "Created");
        JobRow {
            index: lenient.number("index", self.index).value().and_then(|index| usize::try_from(index).ok()),
            id: lenient.id("id", self.id).value(),
            external_id: lenient.text("external_id", self.external_id).filled(),
            email: lenient.text("email", self.email).filled(),
            success,
            action: lenient.text("action", self.action).filled().or(created.then(|| "create".to_owned())),
            fault: (!success).then(|| self.fault(error.as_deref().unwrap_or_default())),
            error,
        }
    }

    /// The details are a text, or fields with lists of errors as of a single record.
    fn fault(&self, error: &str) -> Fault {
        let details = self.details.or(self.errors);
        match details.map(view) {
            Some(Json::Text(words)) => Some(fault::fault(error, None, &words)),
            Some(Json::Object) => details.and_then(|raw| fault::of_details(error, raw)),
            _ => None,
        }
        .unwrap_or_else(|| fault::fault(error, None, ""))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Index, id, success and error of a row.
    type Told<'a> = (Option<usize>, Option<&'a str>, bool, Option<&'a str>);

    fn check(results: &str, expected: &[Told<'_>]) {
        let text = format!(
            r#"{{"job_status":{{"id":"V3-1","total":1,"progress":null,"status":"completed","results":{results}}}}}"#
        );
        let raw = RawValue::from_string(text).expect("a test writes JSON");
        let job = job_status(&raw).expect("a job");
        let rows = job.rows.iter().map(|row| (row.index, row.id.as_deref(), row.success, row.error.as_deref()));
        assert_eq!(rows.collect::<Vec<_>>(), expected, "{results}");
        assert_eq!(
            (job.id.as_str(), job.status.as_str(), job.total, job.progress),
            ("V3-1", "completed", Some(1), None)
        );
    }

    #[test]
    fn results_in_each_shape() {
        check("null", &[]);
        check("{\"success\":true}", &[(None, None, true, None)]);
        check(r#"[{"id":5,"status":"Created"}]"#, &[(None, Some("5"), true, None)]);
        check(r#"[{"index":3,"id":"5","account_id":1}]"#, &[(Some(3), Some("5"), true, None)]);
        check(
            r#"[{"id":5,"action":"update","success":false,"error":"InvalidRecord","details":"x"},{"index":1,"errors":[1]}]"#,
            &[(None, Some("5"), false, Some("InvalidRecord")), (Some(1), None, false, None)],
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[{}\\[\\]\":,a-e0-9]{0,60}") {
            if let Ok(raw) = RawValue::from_string(text) {
                let _ = job_status(&raw);
            }
        }
    }
}
