//! The CDP against the simulated Zendesk's own true state, field by field; and that the comparison sees what is wrong.

use crate::support::{Setup, World};
use deskbridge::demo::compare::{Difference, compare};
use serde_json::{Value, json};

async fn differences(world: &World) -> Vec<Difference> {
    let source = world.source().await;
    compare(&world.ctx, source.id, &format!("{}/_sim", world.sim.url), None).await.expect("compared")
}

fn told(differences: &[Difference]) -> String {
    differences.iter().take(20).map(|difference| format!("  {difference}\n")).collect()
}

/// Lives through busy days under these faults and settles.
async fn lived(seed: u64, faults: Value) -> World {
    let world = World::synced(Setup { seed, users: 150, tickets: 200, ..Setup::default() }).await;
    world.sim.post("faults", faults).await;
    for step in 0..20 {
        world.advance(if step % 4 == 0 { 90_000 } else { 60 }, 25).await;
        world.run_jobs().await;
        if step % 5 == 4 {
            world.sync().await;
        }
    }
    world.sim.post("faults", json!({})).await;
    world.settle().await;
    world
}

#[tokio::test]
async fn after_a_first_sync_and_after_life_all_is_as_it_is_in_zendesk() {
    for (seed, faults) in [
        (1, json!({})),
        (2, json!({"drop_webhooks": 1.0, "keep_webhooks": ["user.merged"]})),
        (3, json!({"duplicate_webhooks": 0.3, "reorder_webhooks": 0.5, "delay_webhooks": 90})),
    ] {
        let world = lived(seed, faults).await;
        let found = differences(&world).await;
        assert!(found.is_empty(), "seed {seed}: {} differences\n{}", found.len(), told(&found));
    }
}

/// Each of these spoils one thing; the comparison must name it.
const SPOILT: &[(&str, &str)] = &[
    ("UPDATE person SET first_name = 'Nobody' WHERE id = (SELECT min(id) FROM person)", "first name"),
    ("UPDATE person SET phone = '+1' WHERE id = (SELECT max(id) FROM person WHERE phone IS NULL)", "phone"),
    ("UPDATE person SET locale = 'xx' WHERE id = (SELECT min(id) FROM person)", "locale"),
    ("UPDATE person SET fields = fields || '{\"zd.tier\": \"tier_tin\"}' WHERE id = (SELECT min(id) FROM person)", "zd.tier"),
    ("DELETE FROM person_source WHERE record_id = (SELECT max(record_id) FROM person_source WHERE status = 'active')", "person"),
    ("UPDATE agent SET name = 'Somebody' WHERE record_id = (SELECT min(record_id) FROM agent)", "name"),
    ("UPDATE organization SET domains = '{x.test}' WHERE id = (SELECT min(id) FROM organization WHERE deleted_at IS NULL)", "domains"),
    ("UPDATE ticket SET status = 'hold' WHERE id = (SELECT max(id) FROM ticket WHERE status = 'closed')", "status"),
    ("UPDATE ticket SET person_id = person_id + 1 WHERE id = (SELECT max(id) FROM ticket WHERE person_id > 0)", "person"),
    ("UPDATE ticket SET subject = 'what was said' WHERE id = (SELECT max(id) FROM ticket WHERE scrubbed)", "subject"),
    ("DELETE FROM activity WHERE id = (SELECT id FROM activity WHERE type = 'zd.ticket.solved' ORDER BY occurred_at DESC LIMIT 1)", "zd.ticket.solved"),
    ("INSERT INTO activity SELECT workspace_id, occurred_at, gen_random_uuid(), person_id, person_id, source_id, type, ticket_id,
          actor_record_id, attributes, message, origin, recorded_at
      FROM activity WHERE type = 'zd.ticket.assigned' ORDER BY occurred_at DESC LIMIT 1", "zd.ticket.assigned"),
    ("UPDATE activity SET message = 'other words' WHERE id = (SELECT id FROM activity WHERE type = 'zd.ticket.comment_added'
      AND message IS NOT NULL ORDER BY occurred_at DESC LIMIT 1)", "zd.ticket.comment_added message"),
    ("UPDATE activity SET person_id = 1 WHERE id = (SELECT id FROM activity WHERE type = 'zd.ticket.priority_changed'
      ORDER BY occurred_at DESC LIMIT 1)", "zd.ticket.priority_changed owner"),
    ("UPDATE activity_rollup SET total = 0 WHERE type = 'zd.ticket.tagged'", "rollup of zd.ticket.tagged"),
];

#[tokio::test]
async fn what_is_spoilt_is_seen() {
    let world = lived(4, json!({})).await;
    assert_eq!(told(&differences(&world).await), "");
    for (statement, field) in SPOILT {
        let before = differences(&world).await;
        let done = sqlx::query(*statement).execute(&world.ctx.pool).await.expect(statement);
        assert!(done.rows_affected() > 0, "{statement}");
        let found = differences(&world).await;
        let new: Vec<&Difference> = found.iter().filter(|difference| !before.contains(difference)).collect();
        assert!(new.iter().any(|difference| difference.field == *field), "{statement}\n{new:?}");
    }
}
