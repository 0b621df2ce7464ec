//! What a customer thought of an answer: classic ratings, and the survey responses some accounts have instead.
use crate::time::Stamp;
use serde::Serialize;
use serde_json::{Value, json};

/// What was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// Asked, not answered.
    Offered,
    /// Content.
    Good,
    /// Not content.
    Bad,
}

impl Score {
    /// The score by Zendesk's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "offered" => Some(Self::Offered),
            "good" => Some(Self::Good),
            "bad" => Some(Self::Bad),
            _ => None,
        }
    }

    /// Zendesk's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }

    /// Whether the customer answered.
    pub fn is_received(self) -> bool {
        self != Self::Offered
    }
}

/// Reasons a customer can pick.
pub const REASONS: &[(i64, &str)] = &[
    (1000, "Some other reason"),
    (1003, "The issue took too long to resolve"),
    (1004, "The issue was not resolved"),
    (1005, "The agent's knowledge is unsatisfactory"),
];

/// A rating, offered or received.
#[derive(Clone, Debug)]
pub struct Rating {
    /// Its id.
    pub id: i64,
    /// The ticket it is about.
    pub ticket_id: i64,
    /// Who was asked.
    pub requester_id: i64,
    /// Who had answered.
    pub assignee_id: Option<i64>,
    /// The answerer's group.
    pub group_id: Option<i64>,
    /// What was said.
    pub score: Score,
    /// In words.
    pub comment: Option<String>,
    /// Why, with its code.
    pub reason: Option<(i64, &'static str)>,
    /// When it was offered.
    pub created_at: Stamp,
    /// When it last changed.
    pub updated_at: Stamp,
}

/// A classic rating as REST writes one.
#[derive(Serialize)]
pub struct RatingView<'a> {
    url: String,
    id: i64,
    assignee_id: Option<i64>,
    group_id: Option<i64>,
    requester_id: i64,
    ticket_id: i64,
    score: &'static str,
    created_at: Stamp,
    updated_at: Stamp,
    comment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_id: Option<i64>,
}

impl Rating {
    /// The rating as REST writes it.
    pub fn view(&self, host: &str) -> RatingView<'_> {
        RatingView {
            url: format!("{host}/api/v2/satisfaction_ratings/{}.json", self.id),
            id: self.id,
            assignee_id: self.assignee_id,
            group_id: self.group_id,
            requester_id: self.requester_id,
            ticket_id: self.ticket_id,
            score: self.score.word(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            comment: self.comment.as_deref(),
            reason: self.reason.map(|(_, text)| text),
            reason_code: self.reason.map(|(code, _)| code),
            reason_id: self.reason.map(|(code, _)| code * 7),
        }
    }

    /// The same as a survey response; an offer that was not answered is none.
    pub fn as_survey(&self, survey_id: &str) -> Option<Value> {
        let (stars, category) = match self.score {
            Score::Offered => return None,
            Score::Good => (5, "good"),
            Score::Bad => (2, "bad"),
        };
        let mut answers = vec![json!({"type": "rating_scale", "rating": stars, "rating_category": category,
            "question": {"id": "01J0QUESTIONRATING00000000", "type": "rating_scale_emoji",
                "sub_type": "customer_satisfaction", "alias": "csat", "headline": {},
                "options": [{"rating": 1, "label": {}}, {"rating": 5, "label": {}}]},
            "created_at": self.updated_at, "updated_at": self.updated_at})];
        answers.push(match &self.comment {
            Some(text) => json!({"type": "open_ended", "value": text,
                "question": {"id": "01J0QUESTIONOPEN0000000000", "type": "open_ended", "headline": {}},
                "created_at": self.updated_at, "updated_at": self.updated_at}),
            None => json!({"type": "skipped"}),
        });
        let subject = format!("zen:ticket:{}", self.ticket_id);
        Some(json!({"id": self.survey_response_id(), "expires_at": self.created_at.plus(28 * 86_400),
            "responder_id": self.requester_id, "subject_zrns": [subject],
            "subjects": [{"id": self.ticket_id.to_string(), "type": "ticket", "zrn": subject}],
            "survey": {"id": survey_id, "version": 1, "state": "enabled"}, "answers": answers}))
    }

    /// A ULID that sorts by the moment of the rating.
    pub fn survey_response_id(&self) -> String {
        crate::deliver::ulid::ulid(self.updated_at.0 * 1000, u128::from(self.id.unsigned_abs()))
    }
}
