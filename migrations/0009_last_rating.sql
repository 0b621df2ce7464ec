-- Of two ratings of one second the one of the newer ticket is the last: without an order between them it would change from reading to
-- reading, and be written to Zendesk each time.

CREATE OR REPLACE VIEW support_summary AS
SELECT workspace_id, person_id,
       count(*) FILTER (WHERE status IN ('new', 'open', 'pending', 'hold')) AS open_tickets,
       count(*) AS tickets_total,
       min(created_at) AS first_ticket_at,
       max(created_at) AS last_ticket_at,
       (array_agg(subject ORDER BY created_at DESC, id DESC))[1] AS last_ticket_subject,
       (array_agg(status ORDER BY created_at DESC, id DESC))[1] AS last_ticket_status,
       (array_agg(rating ORDER BY rating_at DESC NULLS LAST, id DESC) FILTER (WHERE rating IN ('good', 'bad')))[1] AS last_rating,
       max(rating_at) FILTER (WHERE rating IN ('good', 'bad')) AS last_rating_at,
       count(*) FILTER (WHERE rating = 'good') AS good_ratings,
       count(*) FILTER (WHERE rating = 'bad') AS bad_ratings
FROM ticket
WHERE person_id IS NOT NULL AND deleted_at IS NULL
GROUP BY workspace_id, person_id;
