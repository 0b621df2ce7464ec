//! Pages and cursors: whatever a server answers, a reading ends, by its end or by an error, within a bounded number of requests.

use std::collections::BTreeSet;

use deskbridge::model::stream::Stream;
use deskbridge::zendesk::decode;
use deskbridge::zendesk::progress::Progress;
use deskbridge::zendesk::stream;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::decoders::{STREAMS, context, now, record, settings};
use crate::hostile::{bytes, changed, changes, json as any_json};
use crate::{Outcome, fuzz, within};

/// Pages without rows that may follow one another, and some more: what a server may make us ask beyond its own pages.
const MORE: usize = 30;

/// What one page says.
#[derive(Debug, Clone)]
struct Said {
    rows: Vec<u32>,
    cursor: Option<String>,
    end_time: i64,
    ends: Option<bool>,
    has_more: Option<bool>,
}

fn said() -> impl Strategy<Value = Said> {
    let cursor = prop::option::weighted(0.9, prop_oneof![8 => "[a-h]", 1 => any::<String>()]);
    let time = prop_oneof![0..20_i64, any::<i64>(), Just(now().timestamp()), Just(now().timestamp() + 60)];
    let often_no = || prop_oneof![6 => Just(Some(false)), 1 => Just(Some(true)), 1 => Just(None)];
    (vec(1..40_u32, 0..3), cursor, time, often_no(), often_no()).prop_map(|(rows, cursor, end_time, ends, less)| Said {
        rows,
        cursor,
        end_time,
        ends,
        has_more: less.map(|less| !less),
    })
}

impl Said {
    fn body(&self, stream: Stream, wrapper: &str) -> String {
        let rows: Vec<Value> = self.rows.iter().map(|id| record(stream, *id)).collect();
        let mut body = json!({"after_cursor": self.cursor, "end_time": self.end_time,
            "meta": {"has_more": self.has_more, "after_cursor": self.cursor}});
        body["end_of_stream"] = json!(self.ends);
        body[wrapper] = json!(rows);
        body.to_string()
    }
}

/// Reads a stream as the poll does, from a server that answers these pages over and over.
fn requests(stream: Stream, pages: &[Said]) -> usize {
    let settings = settings();
    let mut cursor: Option<String> = None;
    let mut progress = Progress::from(None);
    for asked in 1.. {
        let request = stream::request(stream, cursor.as_deref(), now(), 100, now());
        let body = pages[(asked - 1) % pages.len()].body(stream, request.wrapper);
        let read = stream::read(
            stream,
            request.wrapper,
            body.as_bytes(),
            cursor.as_deref(),
            now(),
            now(),
            &context(&settings),
        );
        let Ok(page) = read else { return asked };
        if page.end || progress.step(page.cursor.as_deref(), &page.digests).is_err() {
            return asked;
        }
        cursor = page.cursor.or(cursor);
    }
    0
}

#[test]
fn every_reading_ends() {
    let stream = prop::sample::select(STREAMS.to_vec());
    fuzz("cursors", &(stream, vec(said(), 1..40)), |(stream, pages): (Stream, Vec<Said>)| {
        let asked = requests(stream, &pages);
        let distinct: BTreeSet<_> = pages.iter().map(|page| (&page.cursor, page.end_time)).collect();
        prop_assert!(asked <= distinct.len() + MORE, "{} requests for {} pages", asked, distinct.len());
        Ok(())
    });
}

fn page(body: &[u8], wrapper: &str) -> Outcome {
    // Broken UTF-8 becomes characters of three bytes, in a text that grows; then each record once more.
    let page = within(body.len(), 64, 1 << 16, || decode::page(body, wrapper))?;
    match page {
        Ok(page) => {
            prop_assert!(page.records.len() <= 100_000);
            prop_assert!(page.after_cursor.is_none_or(|cursor| cursor.len() <= 4096), "a cursor without an end");
        }
        Err(error) => prop_assert!(error.to_string().len() < 200),
    }
    Ok(())
}

#[test]
fn bodies_of_any_bytes() {
    let base = json!({"users": [{"id": 1}, {"id": 2}], "after_cursor": "abc", "after_url": "https://acme.zendesk.com/x", "count": 2,
        "end_of_stream": false, "end_time": 5, "next_page": null, "links": {"next": "https://acme.zendesk.com/y"},
        "meta": {"has_more": true, "after_cursor": "def"}, "errors": []});
    let wrapper = prop::sample::select(vec!["users", "survey_responses", "meta", "after_cursor", ""]);
    fuzz("pages", &(wrapper, changes(), any_json(), bytes()), |(wrapper, changes, any, bytes)| {
        page(changed(&base, &changes).as_bytes(), wrapper)?;
        page(format!("{{\"{wrapper}\":{any}}}").as_bytes(), wrapper)?;
        page(&bytes, wrapper)
    });
}
