//! How to look into the CDP: a line for psql, queries worth running, addresses.

use super::stage::Stage;

/// People who wait, and were not content before.
const UNHAPPY: &str = "\
SELECT p.first_name, p.last_name, p.email, s.open_tickets, s.bad_ratings, s.last_ticket_subject
FROM support_summary s JOIN person p ON p.workspace_id = s.workspace_id AND p.id = s.person_id
WHERE s.open_tickets > 0 AND s.bad_ratings > 0 ORDER BY s.bad_ratings DESC, s.open_tickets DESC LIMIT 10;";

/// All that happened to who has the most of it, by day.
const ONE_PERSON: &str = "\
SELECT occurred_at, ticket_id, type, subject, left(message, 40) AS message FROM ticket_activity
WHERE type <> 'zd.ticket.updated' AND person_id = (
    SELECT person_id FROM activity WHERE occurred_at > (SELECT max(occurred_at) FROM activity) - interval '7 days'
    GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1) ORDER BY occurred_at DESC LIMIT 20;";

/// The organizations that write most.
const ORGANIZATIONS: &str = "\
SELECT o.name, count(DISTINCT m.person_id) AS people, count(DISTINCT t.id) AS tickets,
       count(DISTINCT t.id) FILTER (WHERE t.status IN ('new', 'open', 'pending', 'hold')) AS unsolved,
       count(DISTINCT t.id) FILTER (WHERE t.rating = 'bad') AS bad
FROM organization o JOIN organization_member m ON m.organization_id = o.id
JOIN ticket t ON t.person_id = m.person_id GROUP BY o.id, o.name ORDER BY tickets DESC LIMIT 10;";

/// What to type and where to look.
pub fn how(stage: &Stage) -> String {
    format!(
        "\nLook into the CDP while it lives, from another terminal:\n\n  {psql}\n\n\
         Who waits for an answer and was unhappy before?\n\n{}\n\n\
         What happened to one busy person?\n\n{}\n\n\
         Which organizations keep support busy?\n\n{}\n\n\
         Metrics      http://{admin}/metrics\nHealth       http://{public}/health/ready\n\
         Log          {log}\nSimulated    {zendesk} (its own state: {zendesk}/_sim/state/counts)\n\n\
         Now life goes on in the simulated Zendesk, and Deskbridge follows. Ctrl-C stops everything.\n",
        indented(UNHAPPY),
        indented(ONE_PERSON),
        indented(ORGANIZATIONS),
        psql = stage.psql_line(),
        admin = stage.daemon.admin,
        public = stage.daemon.public,
        log = stage.folder.file("deskbridge.log").display(),
        zendesk = stage.zendesk.url,
    )
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// What is said at the end.
pub fn kept(stage: &Stage) -> String {
    format!(
        "Stopped; nothing runs any more. The data stays in {}: the next run goes on with it, --fresh starts over.",
        stage.folder.path.display()
    )
}
