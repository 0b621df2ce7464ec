//! A page of records: the records untouched, and what Zendesk says of the way on.

use serde_json::value::RawValue;

use super::json::{Json, elements, member, members, view};

/// The most records of a page: pages by time are longer than was asked for when much happened in one second, not so much.
const MAX_RECORDS: usize = 100_000;

/// The longest cursor that is taken.
const MAX_CURSOR: usize = 4096;

/// A page. All of the way on is as it came: only its cursor or query may be used, never its host (zendesk-api.md §1).
#[derive(Debug, Default)]
pub struct Page {
    /// The records, each its own JSON.
    pub records: Vec<Box<RawValue>>,
    /// Cursor of the next page; of an export, also where to go on later. Null at the end of some: keep the old one
    /// then.
    pub after_cursor: Option<String>,
    /// True when there is nothing more now.
    pub end_of_stream: Option<bool>,
    /// Where a time-based export goes on.
    pub end_time: Option<i64>,
    /// Records on this page or in all, depending on the endpoint.
    pub count: Option<i64>,
    /// Link to the next page: `after_url`, `next_page` or `links.next`.
    pub next: Option<String>,
    /// `meta.has_more`.
    pub has_more: Option<bool>,
}

/// Why a body is no page. It never quotes the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Nothing, or only space.
    #[error("the answer is empty")]
    Empty,
    /// An HTML page.
    #[error("the answer is an HTML page, not JSON")]
    Html,
    /// Some other text.
    #[error("the answer is text, not JSON")]
    Text,
    /// It begins as JSON but is cut off or broken.
    #[error("the answer is JSON that is cut off or broken")]
    Broken,
    /// More records than a page can have.
    #[error("the answer holds more than {MAX_RECORDS} records")]
    TooMany,
    /// A time at which to go on that has not come yet.
    #[error("the answer's end_time lies in the future")]
    Future,
    /// JSON, but not a page of these records.
    #[error("the answer is JSON without a list \"{wrapper}\"")]
    Shape {
        /// The name that was expected.
        wrapper: String,
    },
}

/// The page in a body whose records stand under `wrapper`.
///
/// Where the name is unconfirmed (survey responses), the only list of the body is taken if there is none of that name.
pub fn page(body: &[u8], wrapper: &str) -> Result<Page, PageError> {
    // Broken UTF-8 costs the character, not the page.
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{FEFF}').trim();
    match text.as_bytes().first() {
        None => return Err(PageError::Empty),
        Some(b'<') => return Err(PageError::Html),
        Some(b'{') => {}
        Some(b'[' | b'"' | b'0'..=b'9' | b'-') => return Err(shape(wrapper)),
        Some(_) if matches!(text, "null" | "true" | "false") => return Err(shape(wrapper)),
        Some(_) => return Err(PageError::Text),
    }
    let mut reading = Reading::default();
    let whole = members(text, |key, value| match key == wrapper && matches!(view(value), Json::Array) {
        true => reading.list = Some(value),
        false => reading.other(&key, value),
    });
    match whole {
        true => reading.finish(wrapper),
        false => Err(PageError::Broken),
    }
}

fn shape(wrapper: &str) -> PageError {
    PageError::Shape { wrapper: wrapper.to_owned() }
}

/// A page while it is read.
#[derive(Default)]
struct Reading<'a> {
    page: Page,
    /// The list of records.
    list: Option<&'a RawValue>,
    after_url: Option<String>,
    next_page: Option<String>,
    links_next: Option<String>,
    /// Other lists, of which one may be it.
    lists: Vec<&'a RawValue>,
}

impl<'a> Reading<'a> {
    fn other(&mut self, key: &str, value: &'a RawValue) {
        match key {
            "after_cursor" => self.page.after_cursor = cursor(value),
            "after_url" => self.after_url = text(value),
            "next_page" => self.next_page = text(value),
            "end_of_stream" => self.page.end_of_stream = truth(value),
            "end_time" => self.page.end_time = whole(value),
            "count" => self.page.count = whole(value).or_else(|| member(value, "value").and_then(whole)),
            "links" => self.links_next = member(value, "next").and_then(text),
            "meta" => {
                self.page.has_more = member(value, "has_more").and_then(truth);
                let cursor = member(value, "after_cursor").and_then(cursor);
                self.page.after_cursor = cursor.or(self.page.after_cursor.take());
            }
            "errors" => {}
            _ if matches!(view(value), Json::Array) => self.lists.push(value),
            _ => {}
        }
    }

    fn finish(mut self, wrapper: &str) -> Result<Page, PageError> {
        let list = match (self.list, self.lists.as_slice(), wrapper) {
            (Some(list), ..) => list,
            (None, [only], "survey_responses") => only,
            _ => return Err(shape(wrapper)),
        };
        // The one copy of each record.
        let records = &mut self.page.records;
        let mut more = 0_usize;
        let whole = elements(list.get(), |record| match records.len() < MAX_RECORDS {
            true => records.push(record.to_owned()),
            false => more += 1,
        });
        match (whole, more) {
            (false, _) => return Err(PageError::Broken),
            (true, 0) => {}
            (true, _) => return Err(PageError::TooMany),
        }
        self.page.next = self.after_url.or(self.links_next).or(self.next_page);
        Ok(self.page)
    }
}

fn text(raw: &RawValue) -> Option<String> {
    match view(raw) {
        Json::Text(text) if !text.is_empty() => Some(text.into_owned()),
        _ => None,
    }
}

/// A cursor that can be stored and asked with.
fn cursor(raw: &RawValue) -> Option<String> {
    text(raw).filter(|cursor| cursor.len() <= MAX_CURSOR && !cursor.chars().any(char::is_control))
}

fn truth(raw: &RawValue) -> Option<bool> {
    match view(raw) {
        Json::Bool(truth) => Some(truth),
        _ => None,
    }
}

fn whole(raw: &RawValue) -> Option<i64> {
    match view(raw) {
        Json::Number(digits) => digits.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(body: &str, expected: Result<usize, PageError>) {
        assert_eq!(page(body.as_bytes(), "users").map(|page| page.records.len()), expected, "{body}");
    }

    #[test]
    fn what_is_no_page_says_so_and_quotes_nothing() {
        let no_list = PageError::Shape { wrapper: "users".to_owned() };
        check("", Err(PageError::Empty));
        check(" \n", Err(PageError::Empty));
        check("<!DOCTYPE html><p>jane@x.test", Err(PageError::Html));
        check("Too many requests", Err(PageError::Text));
        check("{\"users\":[{\"id\":1}", Err(PageError::Broken));
        check("{\"users\":{}}", Err(no_list.clone()));
        check("{\"users\":null,\"tickets\":[]}", Err(no_list.clone()));
        check("[]", Err(no_list.clone()));
        check("null", Err(no_list));
        check("\u{FEFF}{\"users\":[]}", Ok(0));
        check("{\"users\":[1,{},\"x\"]}", Ok(3));
        assert_eq!(
            page(b"{}", "users").expect_err("no page").to_string(),
            "the answer is JSON without a list \"users\""
        );
    }

    #[test]
    fn the_way_on_in_its_five_shapes() {
        let found = page(
            br#"{"users":[],"after_url":"https://x/a?cursor=b%3D","after_cursor":"b=","end_of_stream":false}"#,
            "users",
        )
        .expect("a page");
        assert_eq!((found.after_cursor.as_deref(), found.end_of_stream), (Some("b="), Some(false)));
        assert_eq!(found.next.as_deref(), Some("https://x/a?cursor=b%3D"));
        let found = page(br#"{"users":[],"after_cursor":null,"after_url":null,"end_of_stream":true}"#, "users")
            .expect("a page");
        assert_eq!((found.after_cursor, found.next, found.end_of_stream), (None, None, Some(true)));
        let found = page(
            br#"{"users":[],"count":7,"end_time":1695073963,"next_page":"https://x/n","end_of_stream":true}"#,
            "users",
        )
        .expect("a page");
        assert_eq!(
            (found.count, found.end_time, found.next.as_deref()),
            (Some(7), Some(1_695_073_963), Some("https://x/n"))
        );
        let found = page(
            br#"{"users":[],"meta":{"has_more":true,"after_cursor":"c"},"links":{"next":"https://x/l"}}"#,
            "users",
        )
        .expect("a page");
        assert_eq!((found.has_more, found.after_cursor.as_deref()), (Some(true), Some("c")));
        assert_eq!(found.next.as_deref(), Some("https://x/l"));
        let found = page(br#"{"users":[],"count":{"value":9},"next_page":null}"#, "users").expect("a page");
        assert_eq!((found.count, found.next), (Some(9), None));
    }

    #[test]
    fn what_no_page_holds_is_refused() {
        check(&format!("{{\"users\":[{}1]}}", "1,".repeat(MAX_RECORDS)), Err(PageError::TooMany));
        for bad in ["a\\u0000b", &"x".repeat(MAX_CURSOR + 1)] {
            let body = format!(r#"{{"users":[],"after_cursor":"{bad}"}}"#);
            assert_eq!(page(body.as_bytes(), "users").expect("a page").after_cursor, None);
        }
    }

    #[test]
    fn a_bad_record_and_broken_utf8_leave_the_others() {
        let mut body = b"{\"users\":[{\"id\":1,\"name\":\"a".to_vec();
        body.push(0xff);
        body.extend_from_slice(b"\"},{\"id\":2,\"n\":1e999}]}");
        assert_eq!(page(&body, "users").expect("a page").records.len(), 2);
        assert_eq!(page(br#"{"answers":[{}],"meta":{}}"#, "survey_responses").expect("the only list").records.len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = page(&body, "users");
        }
    }
}
