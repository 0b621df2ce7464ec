//! The event types that a webhook can be subscribed to, without their prefix. There are no wildcards.

const USER: &str = "active_changed alias_changed created custom_field_changed custom_role_changed default_group_changed \
    deleted details_changed external_id_changed group_membership_created group_membership_deleted identity_changed \
    identity_created identity_deleted last_login_changed merged name_changed notes_changed only_private_comments_changed \
    organization_membership_created organization_membership_deleted password_changed photo_changed role_changed \
    suspended_changed tags_changed time_zone_changed";

const ORGANIZATION: &str = "created custom_field_changed deleted external_id_changed name_changed tags_changed";

const TICKET: &str = "agent_assignment_changed attachment_linked_to_comment attachment_redacted_from_comment \
    brand_changed comment_added comment_made_private comment_redacted created csat_received csat_requested \
    custom_field_changed custom_status_changed description_changed email_ccs_changed external_id_changed \
    followers_changed form_changed group_assignment_changed marked_as_spam merged next_sla_breach_changed \
    ola_policy_changed organization_changed permanently_deleted priority_changed problem_link_changed requester_changed \
    schedule_changed sla_policy_changed soft_deleted status_changed subject_changed submitter_changed tags_changed \
    task_due_at_changed type_changed undeleted";

const AGENT: &str = "state_changed unified_state_changed work_item_added work_item_updated work_item_removed \
    max_capacity_changed channel_created channel_deleted groups_updated";

const ARTICLE: &str = "author_changed published unpublished subscription_created vote_created vote_changed vote_removed \
    comment_created comment_changed comment_published comment_unpublished";

const COMMUNITY_POST: &str = "created changed published unpublished subscription_created vote_created vote_changed \
    vote_removed comment_created comment_changed comment_published comment_unpublished comment_vote_created \
    comment_vote_changed";

/// Whether an event type exists; `kind` is without its prefix, such as `user.created`.
pub fn exists(kind: &str) -> bool {
    let Some((of, what)) = kind.split_once('.') else { return false };
    let list = match of {
        "user" => USER,
        "organization" => ORGANIZATION,
        "ticket" => TICKET,
        "messaging_ticket" => "message_added",
        "agent" => AGENT,
        "article" => ARTICLE,
        "community_post" => COMMUNITY_POST,
        "omnichannel_config" => "omnichannel_routing_feature_changed",
        // Its types are not listed anywhere; any name that could be one is taken.
        "messaging_live_metrics" => return !what.is_empty() && !what.contains('*'),
        _ => return false,
    };
    list.split(' ').any(|known| known == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_by_their_whole_names() {
        let table = [
            ("user.created", true),
            ("ticket.undeleted", true),
            ("ticket.*", false),
            ("user.", false),
            ("user.email_changed", false),
            ("omnichannel_config.omnichannel_routing_feature_changed", true),
            ("created", false),
        ];
        for (kind, expected) in table {
            assert_eq!(exists(kind), expected, "{kind}");
        }
    }
}
