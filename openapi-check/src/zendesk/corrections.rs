//! The known errors of Zendesk's OpenAPI: one entry each, with what is really served and the evidence. Tests hold that each
//! says what the document says, that its evidence shows it, and that it is still needed.
use serde_json::Value;

/// An error of the document: one keyword of one schema.
#[derive(Clone, Copy, Debug)]
pub struct Correction {
    /// The schema, under `/components/schemas/`.
    pub schema: &'static str,
    /// The keyword that is wrong, or missing.
    pub keyword: &'static str,
    /// What the document says there, as JSON; empty where it says nothing.
    pub says: &'static str,
    /// What is true, as JSON.
    pub is: &'static str,
    /// How we know.
    pub evidence: &'static [Evidence],
}

/// How we know that the document is wrong.
#[derive(Clone, Copy, Debug)]
pub enum Evidence {
    /// A recorded answer (a file of the recordings), and where in it is a value that the document forbids.
    Recorded(&'static str, &'static str),
    /// A section of the notes on Zendesk's API, and words that stand in it.
    Noted(u8, &'static str),
    /// Words of the schema's own description.
    Described(&'static str),
}

use Evidence::{Described, Noted, Recorded};

impl Correction {
    /// A JSON pointer to the schema.
    pub fn place(&self) -> String {
        format!("/components/schemas/{}", self.schema)
    }

    /// A JSON pointer to the keyword.
    pub fn at(&self) -> String {
        format!("{}/{}", self.place(), self.keyword)
    }

    /// What the document says, as a value.
    pub fn says(&self) -> Option<Value> {
        serde_json::from_str(self.says).ok()
    }

    /// What is true, as a value.
    pub fn is(&self) -> Option<Value> {
        serde_json::from_str(self.is).ok()
    }
}

const fn nullable(schema: &'static str, evidence: &'static [Evidence]) -> Correction {
    Correction { schema, keyword: "nullable", says: "", is: "true", evidence }
}

const ANONYMOUS: Evidence = Noted(1, "\"Anonymous user\" (id null) when unauthenticated");
const USERS: &str = "zenpy/users_list/0001.json";
const EXPORTED: &str = "zenpy/incremental_users/0010.json";
const TICKETS: &str = "zenpy/tickets_list/0001.json";
const COMMENTS: &str = "zenpy/tickets_comments_list/0002.json";
const METRICS: &str = "zendesk_api_client_rb/ticket_metrics_list/0002.json";
const ENDED: Evidence = Recorded("zenpy/incremental_tickets/0019.json", "/end_time");
const REQUEST: &str = "zendesk_api_client_rb/requests_post/0002.json";
const BRAND: &str = "zendesk_api_client_rb/brands_show/0001.json";

/// The known errors.
pub const CORRECTIONS: &[Correction] = &[
    // Users; those who are deleted have lost address and organization, as their rows in the exports show.
    nullable("UserForAdmin/properties/id", &[ANONYMOUS]),
    nullable("UserForAdmin/properties/alias", &[Recorded(USERS, "/users/3/alias")]),
    nullable("UserForAdmin/properties/default_group_id", &[Recorded(USERS, "/users/3/default_group_id")]),
    nullable("UserForAdmin/properties/details", &[Recorded(USERS, "/users/3/details")]),
    nullable("UserForAdmin/properties/email", &[Recorded(USERS, "/users/3/email")]),
    nullable("UserForAdmin/properties/last_login_at", &[Recorded(USERS, "/users/3/last_login_at")]),
    nullable("UserForAdmin/properties/notes", &[Recorded(USERS, "/users/3/notes")]),
    nullable("UserForAdmin/properties/signature", &[Recorded(USERS, "/users/3/signature")]),
    nullable("DeletedUserObject/properties/email", &[Recorded(EXPORTED, "/users/0/email")]),
    nullable("DeletedUserObject/properties/organization_id", &[Recorded(EXPORTED, "/users/0/organization_id")]),
    // Custom fields of organizations: without a value, and checkboxes.
    Correction {
        schema: "OrganizationObject/properties/organization_fields/additionalProperties",
        keyword: "oneOf",
        says: r#"[{"type": "string"}, {"type": "number"}]"#,
        is: r#"[{"type": "string", "nullable": true}, {"type": "number"}, {"type": "boolean"}]"#,
        evidence: &[
            Recorded("zenpy/organizations_show_many_list/0001.json", "/organizations/0/organization_fields/testfields"),
            Noted(3, "checkbox bool"),
        ],
    },
    // Requests: a ticket's fields as customers see them.
    nullable("RequestObject/properties/assignee_id", &[Recorded(REQUEST, "/request/assignee_id")]),
    nullable("RequestObject/properties/due_at", &[Recorded(REQUEST, "/request/due_at")]),
    nullable("RequestObject/properties/priority", &[Recorded(REQUEST, "/request/priority")]),
    nullable("RequestObject/properties/type", &[Recorded(REQUEST, "/request/type")]),
    nullable(
        "RequestObject/properties/organization_id",
        &[Recorded("zendesk_api_client_rb/requests_show/0001.json", "/request/organization_id")],
    ),
    Correction {
        schema: "RequestObject/properties/custom_fields/items/properties/value",
        keyword: "type",
        says: r#""string""#,
        is: r#"["string", "boolean", "array", "null"]"#,
        evidence: &[
            Recorded(TICKETS, "/tickets/0/custom_fields/37/value"),
            Recorded(TICKETS, "/tickets/0/custom_fields/1/value"),
            Recorded("go-zendesk/get_ticket_custom_field/0001.json", "/ticket/custom_fields/1/value"),
        ],
    },
    // Tickets.
    nullable("TicketObject/properties/assignee_id", &[Recorded(TICKETS, "/tickets/0/assignee_id")]),
    nullable("TicketObject/properties/external_id", &[Recorded(TICKETS, "/tickets/0/external_id")]),
    nullable("TicketObject/properties/forum_topic_id", &[Recorded(TICKETS, "/tickets/0/forum_topic_id")]),
    nullable("TicketObject/properties/group_id", &[Recorded(TICKETS, "/tickets/0/group_id")]),
    nullable("TicketObject/properties/organization_id", &[Recorded(TICKETS, "/tickets/1/organization_id")]),
    nullable("TicketObject/properties/priority", &[Recorded(TICKETS, "/tickets/0/priority")]),
    nullable("TicketObject/properties/problem_id", &[Recorded(TICKETS, "/tickets/0/problem_id")]),
    nullable("TicketObject/properties/recipient", &[Recorded(TICKETS, "/tickets/1/recipient")]),
    nullable("TicketObject/properties/type", &[Recorded(TICKETS, "/tickets/0/type")]),
    nullable(
        "TicketObject/properties/satisfaction_rating",
        &[Recorded("zenpy/tickets_post/0004.json", "/ticket/satisfaction_rating")],
    ),
    Correction {
        schema: "TicketObject/properties/status",
        keyword: "enum",
        says: r#"["new", "open", "pending", "hold", "solved", "closed"]"#,
        is: r#"["new", "open", "pending", "hold", "solved", "closed", "deleted"]"#,
        evidence: &[Recorded("zenpy/incremental_tickets_cursor/0002.json", "/tickets/123/status")],
    },
    Correction {
        schema: "TicketObject/properties/custom_fields/items/properties/value",
        keyword: "type",
        says: r#""string""#,
        is: r#"["string", "boolean", "array", "null"]"#,
        evidence: &[
            Recorded(TICKETS, "/tickets/0/custom_fields/37/value"),
            Recorded(TICKETS, "/tickets/0/custom_fields/1/value"),
            Recorded("go-zendesk/get_ticket_custom_field/0001.json", "/ticket/custom_fields/1/value"),
        ],
    },
    Correction {
        schema: "AuditObject/properties/events/items/properties/value",
        keyword: "oneOf",
        says: r#"[{"type": "string"}, {"type": "integer"}]"#,
        is: r#"[{"type": "string", "nullable": true}, {"type": "integer"}, {"type": "array"}]"#,
        evidence: &[
            Recorded("zenpy/tickets_update/0007.json", "/audit/events/4/value"),
            Recorded("zenpy/tickets_update/0014.json", "/audit/events/8/value"),
        ],
    },
    nullable("AttachmentBaseObject/properties/height", &[Recorded(COMMENTS, "/comments/0/attachments/0/height")]),
    nullable("AttachmentBaseObject/properties/width", &[Recorded(COMMENTS, "/comments/0/attachments/0/width")]),
    nullable(
        "TicketFieldObject/properties/agent_description",
        &[Recorded("go-zendesk/get_ticket_field/0001.json", "/ticket_field/agent_description")],
    ),
    nullable("TicketMetricObject/properties/assigned_at", &[Recorded(METRICS, "/ticket_metrics/29/assigned_at")]),
    nullable(
        "TicketMetricObject/properties/assignee_updated_at",
        &[Recorded(METRICS, "/ticket_metrics/29/assignee_updated_at")],
    ),
    nullable(
        "TicketMetricObject/properties/initially_assigned_at",
        &[Recorded(METRICS, "/ticket_metrics/29/initially_assigned_at")],
    ),
    nullable("TicketMetricObject/properties/solved_at", &[Recorded(METRICS, "/ticket_metrics/0/solved_at")]),
    nullable(
        "TicketMetricTimeObject/properties/business",
        &[Recorded(METRICS, "/ticket_metrics/0/agent_wait_time_in_minutes/business")],
    ),
    nullable(
        "TicketMetricTimeObject/properties/calendar",
        &[Recorded(METRICS, "/ticket_metrics/0/agent_wait_time_in_minutes/calendar")],
    ),
    // Ratings.
    nullable(
        "SatisfactionRatingObject/properties/comment",
        &[Recorded("zendesk_api_client_rb/satisfaction_ratings_list/0001.json", "/satisfaction_ratings/1/comment")],
    ),
    Correction {
        schema: "SatisfactionRatingResponse",
        keyword: "properties",
        says: r##"{"satisfaction_rating": {"type": "array", "items": {"$ref": "#/components/schemas/SatisfactionRatingObject"}}}"##,
        is: r##"{"satisfaction_rating": {"$ref": "#/components/schemas/SatisfactionRatingObject"}}"##,
        evidence: &[Recorded("zendesk_api_client_rb/satisfaction_ratings_show/0002.json", "")],
    },
    // Jobs: rows of several kinds look alike, and most do not say their place.
    Correction {
        schema: "CreateResourceResult",
        keyword: "required",
        says: r#"["id", "index"]"#,
        is: r#"["id"]"#,
        evidence: &[Recorded("zenpy/job_statuses/0002.json", "/job_status/results/0")],
    },
    Correction {
        schema: "JobStatusResultObject",
        keyword: "oneOf",
        says: r##"[{"$ref": "#/components/schemas/CreateResourceResult"}, {"$ref": "#/components/schemas/UpdateResourceResult"},
            {"$ref": "#/components/schemas/FailedResult"}]"##,
        is: r##"[{"anyOf": [{"$ref": "#/components/schemas/CreateResourceResult"},
            {"$ref": "#/components/schemas/UpdateResourceResult"}, {"$ref": "#/components/schemas/FailedResult"}]}]"##,
        evidence: &[Recorded("zenpy/job_statuses/0010.json", "/job_status/results/0")],
    },
    Correction {
        schema: "FailedResult",
        keyword: "required",
        says: r#"["id", "action", "error", "success", "details"]"#,
        is: r#"["action", "error", "success", "details"]"#,
        evidence: &[Noted(5, "failed *create* rows probably carry `index` and no `id`")],
    },
    // The rest.
    nullable("BrandObject/properties/host_mapping", &[Recorded(BRAND, "/brand/host_mapping")]),
    nullable("BrandObject/properties/logo", &[Recorded(BRAND, "/brand/logo")]),
    // Exports by time that have nothing more; they end alike.
    nullable("TimeBasedExportIncrementalTicketsResponse/properties/end_time", &[ENDED]),
    nullable("TimeBasedExportIncrementalUsersResponse/properties/end_time", &[ENDED]),
    nullable("ExportIncrementalOrganizationsResponse/properties/end_time", &[ENDED]),
    nullable("ExportIncrementalTicketEventsResponse/properties/end_time", &[ENDED]),
    nullable("ViewObject/properties/restriction", &[Described("Is null when everyone in the account can access it")]),
    nullable("OauthTokenObject/properties/expires_at", &[Noted(1, "\"expires_at\":\"2026-04-22T06:32:35Z\"|null")]),
];
