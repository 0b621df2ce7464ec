//! Satisfaction: classic ratings and answers to surveys, as one rating (A5).

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::context::{NO_ID, NO_OBJECT, NO_TIME, refuse};
use super::json::{Json, elements, member, members, parts, view};
use super::lenient::Lenient;
use crate::model::batch::Refused;
use crate::model::stream::Stream;
use crate::model::ticket::Rating;

parts! {
    /// A classic rating.
    Parts {
        id "id", ticket_id "ticket_id", score "score", comment "comment", reason "reason", requester "requester_id",
        assignee "assignee_id", group "group_id", created_at "created_at", updated_at "updated_at",
    }
    left "url"
}

parts! {
    /// An answered survey.
    Survey {
        id "id", responder "responder_id", zrns "subject_zrns", subjects "subjects", answers "answers",
        created_at "created_at", updated_at "updated_at",
    }
    left "survey" | "expires_at"
}

parts! {
    /// An answer to one question of a survey.
    Answer {
        kind "type", rating "rating", category "rating_category", question "question", value "value",
        selections "selections", created_at "created_at", updated_at "updated_at",
    }
    left "id"
}

/// A classic rating. None for `unoffered` and for scores that nobody knows: they say nothing of the customer.
pub fn rating(raw: &RawValue) -> Result<Option<Rating>, Refused> {
    let stream = Stream::Satisfaction.as_str();
    let parts = Parts::read(raw.get()).ok_or_else(|| refuse(stream, "", NO_OBJECT, raw))?;
    let mut lenient = Lenient::default();
    let id = lenient.id("id", parts.id).value().unwrap_or_default();
    let score = lenient.text("score", parts.score).value().unwrap_or_default().to_lowercase();
    // As a filter the score may be `good_with_comment`.
    let score = score.split('_').next().unwrap_or_default();
    if !matches!(score, "offered" | "good" | "bad") {
        return Ok(None);
    }
    let ticket_id = lenient.number("ticket_id", parts.ticket_id).value().filter(|id| *id > 0);
    let updated_at = lenient.time("updated_at", parts.updated_at).value();
    let rated_at = updated_at.or(lenient.time("created_at", parts.created_at).value());
    Ok(Some(Rating {
        ticket_id: ticket_id.ok_or_else(|| refuse(stream, &id, NO_ID, raw))?,
        score: score.to_owned(),
        scale: None,
        comment: lenient.text("comment", parts.comment).filled(),
        reason: lenient.text("reason", parts.reason).filled(),
        requester: lenient.id("requester_id", parts.requester).value(),
        assignee: lenient.id("assignee_id", parts.assignee).value(),
        group: lenient.id("group_id", parts.group).value(),
        rated_at: rated_at.ok_or_else(|| refuse(stream, &id, NO_TIME, raw))?,
    }))
}

/// An answer to a satisfaction survey. None where nothing was rated, or not a ticket.
pub fn survey_response(raw: &RawValue) -> Result<Option<Rating>, Refused> {
    let stream = Stream::SurveyResponses.as_str();
    let parts = Survey::read(raw.get()).ok_or_else(|| refuse(stream, "", NO_OBJECT, raw))?;
    let mut lenient = Lenient::default();
    let Some(given) = parts.answers.and_then(|raw| answers(raw, &mut lenient)) else { return Ok(None) };
    let Some(ticket_id) = subject(&parts) else { return Ok(None) };
    let stamps = [parts.updated_at, parts.created_at].map(|raw| lenient.time("created_at", raw).value());
    let rated_at = given.at.or(stamps[0]).or(stamps[1]);
    let id = lenient.text("id", parts.id).value().unwrap_or_default();
    Ok(Some(Rating {
        ticket_id,
        score: given.score.to_owned(),
        scale: Some((given.points, given.scale)),
        comment: given.comment,
        reason: given.reason,
        requester: lenient.id("responder_id", parts.responder).value(),
        assignee: None,
        group: None,
        rated_at: rated_at.ok_or_else(|| refuse(stream, &id, NO_TIME, raw))?,
    }))
}

/// What a survey's answers come to.
struct Answered {
    points: i64,
    scale: i64,
    score: &'static str,
    comment: Option<String>,
    reason: Option<String>,
    at: Option<DateTime<Utc>>,
}

fn answers(raw: &RawValue, lenient: &mut Lenient) -> Option<Answered> {
    let (mut rated, mut comment, mut reason) = (None, None, None);
    elements(raw.get(), |answer| {
        let Some(answer) = Answer::read(answer.get()) else { return };
        match lenient.text("answers", answer.kind).value().unwrap_or_default().as_str() {
            "rating_scale" => rated = rated.take().or(rating_of(&answer, lenient)),
            "open_ended" => comment = comment.take().or(lenient.text("answers", answer.value).filled()),
            "closed_ended" => reason = reason.take().or(answer.selections.and_then(|list| chosen(list, lenient))),
            _ => {}
        }
    });
    rated.map(|rated| Answered { comment, reason, ..rated })
}

fn rating_of(answer: &Answer<'_>, lenient: &mut Lenient) -> Option<Answered> {
    let points = lenient.number("rating", answer.rating).value()?;
    let scale =
        answer.question.and_then(|question| member(question, "options")).map_or(0, |options| size(options, lenient));
    let scale = if scale < points.max(2) { points.max(5) } else { scale };
    let category = lenient.text("rating_category", answer.category).value().unwrap_or_default().to_lowercase();
    let score = match category.as_str() {
        "good" => "good",
        "bad" => "bad",
        _ => score_of(points, scale),
    };
    let updated_at = lenient.time("answers", answer.updated_at).value();
    let at = updated_at.or(lenient.time("answers", answer.created_at).value());
    Some(Answered { points, scale, score, comment: None, reason: None, at })
}

/// The classic score of points on a scale: of five, 1–3 are bad and 4–5 good (A5); of two or three only the best is
/// good.
fn score_of(points: i64, scale: i64) -> &'static str {
    let good_from = if scale >= 5 { scale - 1 } else { scale };
    if points >= good_from { "good" } else { "bad" }
}

/// The best rating among a question's options.
fn size(options: &RawValue, lenient: &mut Lenient) -> i64 {
    let mut best = 0;
    elements(options.get(), |option| {
        best = best.max(lenient.number("options", member(option, "rating")).value().unwrap_or(0));
    });
    best
}

fn chosen(list: &RawValue, lenient: &mut Lenient) -> Option<String> {
    let mut reason = None;
    elements(list.get(), |selection| {
        if reason.is_none() {
            reason = lenient.text("selections", member(selection, "option_id")).filled();
        }
    });
    reason
}

/// The ticket that a survey was about: `zen:ticket:5`, or among the subjects.
fn subject(parts: &Survey<'_>) -> Option<i64> {
    let mut ticket = None;
    let mut take = |zrn: &RawValue| {
        if let Json::Text(zrn) = view(zrn) {
            ticket =
                ticket.or(zrn.strip_prefix("zen:ticket:").and_then(|id| id.parse::<i64>().ok()).filter(|id| *id > 0));
        }
    };
    if let Some(zrns) = parts.zrns {
        elements(zrns.get(), &mut take);
    }
    if let Some(subjects) = parts.subjects {
        elements(subjects.get(), |subject| {
            if let Some(zrn) = member(subject, "zrn") {
                take(zrn);
            }
        });
    }
    ticket
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{mutated, raw};
    use super::*;

    const CLASSIC: &str = r#"{"id":1,"ticket_id":208,"score":"good","comment":"Thanks","reason":"r","requester_id":7,"assignee_id":8,
        "group_id":9,"created_at":"2011-07-20T22:55:29Z","updated_at":"2011-07-21T22:55:29Z"}"#;
    const SURVEY: &str = r#"{"id":"01HX","responder_id":123,"subject_zrns":["zen:ticket:5"],"subjects":[{"zrn":"zen:ticket:5"}],
        "answers":[{"type":"skipped"},{"type":"rating_scale","rating":4,"question":{"options":[{"rating":1},{"rating":5}]},
        "created_at":"2024-01-02T03:04:05Z"},{"type":"open_ended","value":"fine"},
        {"type":"closed_ended","selections":[{"type":"predefined","option_id":"slow"}]}]}"#;

    fn check(text: &str, expected: Option<(i64, &str)>) {
        let raw = raw(text);
        let found = if text.contains("answers") { survey_response(&raw) } else { rating(&raw) }.expect("usable");
        assert_eq!(found.as_ref().map(|rating| (rating.ticket_id, rating.score.as_str())), expected, "{text}");
    }

    #[test]
    fn classic_ratings_a5() {
        check(CLASSIC, Some((208, "good")));
        check(&CLASSIC.replace("good", "bad_with_comment"), Some((208, "bad")));
        check(&CLASSIC.replace("good", "offered"), Some((208, "offered")));
        check(&CLASSIC.replace("good", "unoffered"), None);
        check(&CLASSIC.replace("\"good\"", "5"), None);
        let found = rating(&raw(CLASSIC)).expect("usable").expect("rated");
        assert_eq!((found.comment.as_deref(), found.reason.as_deref()), (Some("Thanks"), Some("r")));
        assert_eq!(found.rated_at.to_rfc3339(), "2011-07-21T22:55:29+00:00");
        assert_eq!(rating(&raw(&CLASSIC.replace("208", "null"))).expect_err("no ticket").record_id, "1");
    }

    #[test]
    fn surveys_a5() {
        check(SURVEY, Some((5, "good")));
        check(&SURVEY.replace("\"rating\":4", "\"rating\":3"), Some((5, "bad")));
        check(&SURVEY.replace("\"rating\":4", "\"rating_category\":\"bad\",\"rating\":4"), Some((5, "bad")));
        check(&SURVEY.replace("zen:ticket:5", "zen:article:5"), None);
        check(r#"{"id":"x","answers":[]}"#, None);
        let found = survey_response(&raw(SURVEY)).expect("usable").expect("rated");
        assert_eq!(found.scale, Some((4, 5)));
        assert_eq!((found.comment.as_deref(), found.reason.as_deref()), (Some("fine"), Some("slow")));
        assert_eq!(found.requester.as_deref(), Some("123"));
        for (points, scale, expected) in
            [(1, 2, "bad"), (2, 2, "good"), (2, 3, "bad"), (3, 3, "good"), (3, 5, "bad"), (4, 5, "good")]
        {
            assert_eq!(score_of(points, scale), expected, "{points} of {scale}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(classic in mutated(CLASSIC), survey in mutated(SURVEY)) {
            let _ = rating(&raw(&classic));
            let _ = survey_response(&raw(&survey));
        }
    }
}
