//! The other ways in: files that are imported, what browsers bring back from a sign-in, answers of the token endpoint.

use axum::extract::Query;
use deskbridge::pipeline::import::mapping::Mapping;
use deskbridge::pipeline::import::record::{self, Reading};
use deskbridge::pipeline::import::rows::{Format, How, Item, Rows};
use deskbridge::pipeline::sign_in::Answer;
use deskbridge::zendesk::oauth;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use crate::decoders::now;
use crate::hostile::{bytes, changed, changes, json as any_json};
use crate::{Outcome, fuzz, within};

/// A line of a file: cells, quotes, delimiters, JSON, long ones, bytes that are no text.
fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "(jane@shop.test|\"|,|;|\t|\"\"|é|2024-01-01|x|'|=){0,12}".prop_map(String::into_bytes),
        any_json().prop_map(String::into_bytes),
        any_json().prop_map(
            |value| format!("{{\"email\":\"a@b.test\",\"activities\":{value},\"field.x\":{value}}}").into_bytes()
        ),
        bytes(),
        (0..1_100_000_usize).prop_map(|size| vec![b'a'; size]),
    ]
}

fn import(file: &[u8], format: Format) -> Outcome {
    let how = How { format, mapping: Mapping::default(), key: None, clear_empty: false };
    let reading =
        Reading { identifiers: Vec::new(), region: Some("AU".into()), blocked: Vec::new(), message_bytes: Some(4096) };
    within(file.len(), 64, 64 << 20, || {
        let Ok(mut rows) = Rows::new(file, how) else { return Ok(()) };
        let lines = file.iter().filter(|byte| **byte == b'\n').count() + 2;
        for _ in 0..=lines {
            match rows.advance() {
                Ok(Item::Row(row)) => _ = record::read(row, &reading),
                Ok(Item::Bad(_)) => {}
                Ok(Item::End) | Err(_) => return Ok(()),
            }
        }
        Err(TestCaseError::fail("more rows than lines"))
    })?
}

#[test]
fn files_of_any_bytes() {
    let header = prop::sample::select(vec![
        "email,name,phone,field.x",
        "email;activities",
        "\u{feff}email\ttags",
        "",
        "a,a",
        "{}",
    ]);
    let format = prop_oneof![Just(Format::Csv), Just(Format::Ndjson)];
    fuzz("import", &(header, vec(line(), 0..6), format), |(header, lines, format)| {
        let mut file = header.as_bytes().to_vec();
        for line in lines {
            file.push(b'\n');
            file.extend(line);
        }
        import(&file, format)
    });
}

#[test]
fn answers_of_browsers() {
    let pair = "(state|code|error|error_description|x|%00|)=(a|%F0%28|%|%zz|%00|\\+|&|[a-z%0-9]{0,200}){0,4}";
    fuzz("sign-in: what browsers bring", &vec(pair, 0..8), |pairs: Vec<String>| {
        let address = format!("/oauth/callback?{}", pairs.join("&"));
        let Ok(uri) = address.parse() else { return Ok(()) };
        within(address.len(), 16, 1 << 16, || Query::<Answer>::try_from_uri(&uri).is_ok()).map(|_| ())
    });
}

fn token_answer(status: u16, body: &[u8]) -> Outcome {
    match within(body.len(), 64, 1 << 20, || oauth::pair(status, body, now()))? {
        Ok(pair) => {
            prop_assert_eq!(status, 200);
            prop_assert!(pair.access_expires_at > now() && pair.refresh_expires_at > now());
            let shown = format!("{pair:?}");
            prop_assert!(!shown.contains("very-secret"), "a token was printed: {}", shown);
        }
        Err(error) => prop_assert!(error.to_string().len() < 1_000, "{}", error),
    }
    Ok(())
}

#[test]
fn answers_of_the_token_endpoint() {
    let base = json!({"access_token": "very-secret-a", "refresh_token": "very-secret-b", "token_type": "bearer", "scope": "read write",
        "expires_in": 3600, "refresh_token_expires_in": 7_776_000, "error": "invalid_grant"});
    let status = prop_oneof![Just(200_u16), Just(400), Just(401), Just(429), 100..600_u16];
    fuzz("sign-in: token endpoint", &(status, changes(), any_json(), bytes()), |(status, changes, any, bytes)| {
        token_answer(status, changed(&base, &changes).as_bytes())?;
        token_answer(status, any.as_bytes())?;
        token_answer(status, &bytes)
    });
}
