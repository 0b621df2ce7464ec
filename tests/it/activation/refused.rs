//! What an operator's query may not do, and what it may; and databases whose user may make no roles.

use super::query::keyed;
use crate::support::{Setup, World, database, settings};
use deskbridge::clock::Clock;
use deskbridge::db;
use deskbridge::model::activation::Activation;
use deskbridge::pipeline::activate::query;
use deskbridge::pipeline::activate::stored::ActivationError;
use deskbridge::pipeline::context::Context;
use deskbridge::private_postgres::{Options, PrivatePostgres};
use deskbridge::rules::activation::read::read;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

async fn world() -> World {
    World::synced(Setup { users: 6, tickets: 5, ..Setup::default() }).await
}

async fn execute(world: &World, sql: &'static str) {
    sqlx::query(sql).execute(&world.ctx.pool).await.expect(sql);
}

/// Queries, and what the refusal says.
const REFUSED: &[(&str, &str)] = &[
    // More than one SELECT.
    ("SELECT 1 AS k; DROP TABLE person", "it holds several statements"),
    ("SELECT 1 AS k; COMMIT; DROP TABLE person; BEGIN", "it holds several statements"),
    ("DROP TABLE public.person", "refuses it at line 1: syntax error"),
    ("SELECT 1 AS k\nUNION\nDELETE FROM public.person", "refuses it at line 3: syntax error"),
    ("WITH d AS (DELETE FROM public.person RETURNING id) SELECT id AS k FROM d", "data-modifying"),
    ("WITH d AS (UPDATE public.person SET email = 'x' RETURNING id) SELECT id AS k FROM d", "data-modifying"),
    ("SELECT id AS k INTO stolen_rows FROM person", "SELECT INTO"),
    ("SELECT id AS k, '' AS nick FROM person FOR UPDATE", "it may not lock rows"),
    ("SELECT * FROM (SELECT id AS k, '' AS nick FROM person FOR SHARE) x", "it may not lock rows"),
    ("COPY public.person TO STDOUT", "syntax error"),
    ("SET ROLE postgres", "syntax error"),
    ("RESET ROLE", "syntax error"),
    ("COMMIT", "syntax error"),
    ("EXPLAIN SELECT 1 AS k", "syntax error"),
    ("DO $$ BEGIN END $$", "syntax error"),
    ("CALL public.stolen(1, 2)", "syntax error"),
    ("SELECT (1 AS k", "syntax error"),
    ("SELECT 1 AS k)", "syntax error"),
    ("SELECT 1 AS k /* not closed", "unterminated"),
    ("SELECT 'x AS k", "unterminated"),
    ("SELECT $1 AS k", "there is no parameter"),
    ("-- nothing", "syntax error"),
    // What it may not read.
    ("SELECT id AS k, '' AS nick FROM public.person", "it may not read public.person"),
    ("TABLE public.source", "it may not read public.source"),
    ("SELECT rolname AS k, rolpassword AS nick FROM pg_authid", "it may not read pg_catalog.pg_authid"),
    ("SELECT usename AS k, passwd AS nick FROM pg_shadow", "it may not read pg_catalog.pg_shadow"),
    ("SELECT pid AS k, query AS nick FROM pg_stat_activity", "it may not read pg_catalog.pg_stat_activity"),
    ("SELECT table_name::text AS k FROM information_schema.tables", "it may not read information_schema.tables"),
    ("SELECT 1 AS k WHERE EXISTS (SELECT 1 FROM pg_class)", "it may not read pg_catalog.pg_class"),
    ("SELECT last_value AS k FROM public.person_id", "it may not read public.person_id"),
    ("SELECT credentials AS k FROM source", "\"credentials\" does not exist"),
    ("SELECT workspace_id AS k FROM person", "\"workspace_id\" does not exist"),
    ("SELECT subject_hmac AS k FROM suppression", "\"suppression\" does not exist"),
    ("SELECT * FROM pg_temp.deskbridge_rows", "does not exist"),
    // What it may not call.
    ("SELECT pg_sleep(100)::text AS k, '' AS nick", "it may not call pg_sleep"),
    ("SELECT set_config('deskbridge.workspace', '2', true) AS k", "it may not call set_config"),
    ("SELECT set_config('role', 'postgres', true) AS k", "it may not call set_config"),
    ("SELECT current_setting('deskbridge.workspace') AS k", "it may not call current_setting"),
    ("SELECT pg_read_file('/etc/passwd') AS k", "it may not call pg_read_file"),
    ("SELECT k FROM pg_ls_dir('/') AS k", "it may not call pg_ls_dir"),
    ("SELECT query_to_xml('DELETE FROM person', true, true, '')::text AS k", "it may not call query_to_xml"),
    ("SELECT schema_to_xml('public', true, true, '')::text AS k", "it may not call schema_to_xml"),
    ("SELECT database_to_xml(true, true, '')::text AS k", "it may not call database_to_xml"),
    ("SELECT * FROM ts_stat('SELECT 1') AS k", "it may not call ts_stat"),
    ("SELECT dblink('dbname=postgres', 'SELECT 1') AS k", "function dblink(unknown, unknown) does not exist"),
    ("SELECT lo_import('/etc/passwd') AS k", "it may not call lo_import"),
    ("SELECT lo_creat(-1) AS k", "it may not call lo_creat"),
    ("SELECT lo_get(1)::text AS k", "it may not call lo_get"),
    ("SELECT nextval('public.person_id') AS k", "it may not call nextval"),
    ("SELECT pg_notify('a', 'b')::text AS k", "it may not call pg_notify"),
    ("SELECT pg_advisory_lock(1)::text AS k", "it may not call pg_advisory_lock"),
    ("SELECT pg_terminate_backend(1) AS k", "it may not call pg_terminate_backend"),
    ("SELECT pg_stat_get_activity(NULL)::text AS k", "it may not call pg_stat_get_activity"),
    ("SELECT has_table_privilege('public.person', 'SELECT') AS k", "it may not call has_table_privilege"),
    ("SELECT txid_current() AS k", "it may not call txid_current"),
    ("SELECT random() AS k, '' AS nick", "it may not call random"),
    ("SELECT 1 AS k ORDER BY clock_timestamp()", "it may not call clock_timestamp"),
    ("SELECT count(*) FILTER (WHERE random() > 0) AS k", "it may not call random"),
    ("SELECT 1 AS k WHERE 1 IN (SELECT pg_backend_pid())", "it may not call pg_backend_pid"),
    ("SELECT public.stolen(1, 2) AS k", "it may not call stolen"),
    ("SELECT 1 OPERATOR(public.<+>) 2 AS k", "it may not call stolen"),
    ("SELECT public.all_of(1) AS k", "it may not call all_of"),
    ("SELECT 'pg_authid'::regclass::text AS k", "it may not use the type regclass"),
    ("SELECT id::text::regrole::text AS k FROM person", "it may not use the type regrole"),
    // What it has to give.
    ("SELECT 1 AS other", "rows.key: the query gives no column \"k\""),
    ("SELECT 1 AS k", "map to user_fields.nickname: the query gives no column \"nick\""),
    ("SELECT 1 AS k, 2 AS k", "specified more than once"),
    ("SELECT id AS k, email AS nick FROM person", "personal_data: the query reads person.email"),
    ("SELECT id AS k, to_jsonb(p) ->> 'email' AS nick FROM person p", "personal_data: the query reads person.email"),
    ("SELECT 1 AS k, value AS nick FROM person NATURAL JOIN identity", "personal_data: the query reads identity.value"),
    ("SELECT 1 AS k, x AS nick FROM (SELECT phone AS x FROM person) q", "personal_data: the query reads person.phone"),
];

async fn refusal(ctx: &Context, activation: &Activation) -> (String, String) {
    match query::check(ctx, 1, activation).await {
        Err(ActivationError::Refused { what, todo }) => (what, todo),
        other => panic!("not refused: {other:?}: {:?}", activation.rows),
    }
}

/// What a query can change, were it let: rows of every table, sequences, roles, relations and functions.
async fn everything(world: &World) -> Value {
    world
        .value(
            "SELECT jsonb_build_array(
                (SELECT jsonb_object_agg(relname, (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM %I.%I', nspname, relname), false, true, '')))[1]::text)
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relkind IN ('r', 'p') AND nspname = 'public'),
                (SELECT jsonb_object_agg(sequencename, last_value) FROM pg_sequences),
                (SELECT jsonb_agg(rolname ORDER BY 1) FROM pg_roles),
                (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_largeobject_metadata))",
        )
        .await
}

#[tokio::test]
async fn a_query_that_could_do_more_than_read_is_refused() {
    let world = world().await;
    for sql in [
        "CREATE FUNCTION public.stolen(int, int) RETURNS bigint IMMUTABLE SECURITY DEFINER LANGUAGE sql AS 'SELECT count(*) FROM public.source'",
        "CREATE OPERATOR public.<+> (LEFTARG = int, RIGHTARG = int, FUNCTION = public.stolen)",
        "CREATE AGGREGATE public.all_of(int) (SFUNC = pg_catalog.int4pl, STYPE = int)",
    ] {
        execute(&world, sql).await;
    }
    let before = everything(&world).await;
    let wide = |columns: usize| {
        let all: Vec<String> = (0..columns).map(|at| format!("1 c{at}")).collect();
        format!("SELECT 1 AS k, 'n' AS nick, {}", all.join(","))
    };
    let (many, too_many) = (wide(300), wide(1_700));
    let wide =
        [(many.as_str(), "it gives 302 columns"), (too_many.as_str(), "it gives more columns than Postgres can carry")];
    for (sql, expected) in REFUSED.iter().copied().chain(wide) {
        let (what, todo) = refusal(&world.ctx, &keyed(sql, "")).await;
        assert!(what.contains(expected) && !todo.is_empty(), "{sql}\n{what}; {todo}");
        let place = ["rows.query: ", "rows.key: ", "map to ", "personal_data: "];
        assert!(place.iter().any(|place| what.starts_with(place)), "{sql}\n{what}");
    }
    assert_eq!(everything(&world).await, before, "a query changed something");
    no_connection_is_changed(&world).await;
}

/// Every connection of the pool is as it was made.
async fn no_connection_is_changed(world: &World) {
    let mut held = Vec::new();
    for _ in 0..world.ctx.settings.database.max_connections {
        let mut db = world.ctx.pool.acquire().await.expect("a connection");
        let row = sqlx::query(
            "SELECT current_user = session_user AS own, current_setting('search_path') AS path, current_setting('deskbridge.workspace', true) AS workspace,
                    current_setting('statement_timeout') AS timeout, (SELECT count(*) FROM pg_class WHERE relname = 'deskbridge_rows') AS views",
        )
        .fetch_one(&mut *db)
        .await
        .expect("a clean connection");
        assert!(row.get::<bool, _>("own") && row.get::<i64, _>("views") == 0);
        assert_eq!(row.get::<String, _>("path"), "\"$user\", public");
        assert_eq!(row.get::<Option<String>, _>("workspace"), None);
        let seconds = world.ctx.settings.database.statement_timeout_secs;
        assert!(["s", "min"].iter().any(|unit| row.get::<String, _>("timeout").ends_with(unit)), "{seconds}");
        held.push(db);
    }
}

#[tokio::test]
async fn what_only_reads_is_taken() {
    let world = world().await;
    for sql in [
        "SELECT 1 AS k, 'n' AS nick;",
        "SELECT 1 AS k, 'n' AS nick -- that is all",
        "SELECT 1 AS k, 'n' AS nick /* ; DROP TABLE person */",
        "(SELECT 1 AS k, 'it''s; fine' AS nick)",
        "WITH RECURSIVE t(k) AS (VALUES (1) UNION ALL SELECT k + 1 FROM t WHERE k < 5) SELECT k, 'n' AS nick FROM t",
        "SELECT k, 'n' AS nick FROM generate_series(1, 1e12) k",
        "SELECT p.id AS k, p.locale || t.status AS nick FROM person p JOIN ticket t ON t.person_id = p.id WHERE t.created_at > now() - interval '30 days'",
        "SELECT p.id AS k, coalesce(a.total, 0)::text AS nick FROM person p LEFT JOIN activity_rollup a ON a.person_id = p.id AND a.type = 'zd.ticket.created'",
        "SELECT person_id AS k, last_rating AS nick FROM support_summary WHERE open_tickets > 0",
        "SELECT m.person_id AS k, string_agg(o.name, ', ' ORDER BY o.name) AS nick FROM organization_member m JOIN organization o ON o.id = m.organization_id GROUP BY 1",
        "SELECT s.record_id AS k, string_agg(a.title, ',') AS nick FROM audience a JOIN audience_member m ON m.audience_id = a.id JOIN person_source s USING (person_id) GROUP BY 1",
        "SELECT id AS k, attributes ->> 'from' AS nick FROM activity WHERE occurred_at > date_trunc('day', now())",
    ] {
        query::check(&world.ctx, 1, &keyed(sql, "")).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

#[tokio::test]
async fn only_the_rows_of_the_workspace_are_seen() {
    let world = world().await;
    execute(
        &world,
        "INSERT INTO person (workspace_id, id, fields, email_consent, sms_consent, created_at, updated_at, created_source_id, created_record)
         SELECT 2, 999999, fields, email_consent, sms_consent, created_at, updated_at, created_source_id, created_record FROM person LIMIT 1",
    )
    .await;
    let own: i64 = world.value("SELECT min(id) FROM person WHERE workspace_id = 1").await;
    let activation = keyed("SELECT id AS k, locale AS nick FROM person", "");
    let mut db = world.ctx.pool.begin().await.expect("a transaction");
    let keys = [format!("key:{own}"), "key:999999".to_owned()];
    let found = query::again(&world.ctx, &mut db, &activation, 1, &keys).await.expect("rows");
    assert_eq!(found.iter().map(|row| row.row_key.as_str()).collect::<Vec<_>>(), [keys[0].as_str()]);
}

#[tokio::test]
async fn a_user_that_may_make_no_roles_migrates_and_says_what_an_admin_has_to_run() {
    let dir = std::env::temp_dir().join(format!("deskbridge-weak-{}", std::process::id()));
    let start = move || PrivatePostgres::start(&dir, Options::default()).expect("a private Postgres");
    let weak = tokio::task::spawn_blocking(start).await.expect("it starts");
    let admin = |sql: String| {
        let url = weak.url("postgres");
        async move {
            let mut db = PgConnection::connect(&url).await.expect("the admin connects");
            sqlx::raw_sql(AssertSqlSafe(sql.clone()))
                .execute(&mut db)
                .await
                .unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    };
    admin("CREATE ROLE \"we ak\" LOGIN NOSUPERUSER NOCREATEROLE".into()).await;
    admin("CREATE DATABASE weak OWNER \"we ak\"".into()).await;
    let url = weak.url("weak").replace("postgres@", "we%20ak@");
    let settings = settings(&url, "http://127.0.0.1:1");
    let ctx = deskbridge::app::context(settings, Clock::manual(chrono::DateTime::UNIX_EPOCH)).expect("a context");
    db::pool::migrate(&ctx.pool).await.expect("it migrates");
    let activation = keyed("SELECT id AS k, locale AS nick FROM person", "");
    let (what, todo) = refusal(&ctx, &activation).await;
    assert_eq!(
        what,
        "rows.query: queries run as the role deskbridge_reader, which the daemon's user cannot take on here"
    );
    let statements = todo.strip_prefix("have an admin of the database run: ").expect("statements");
    assert_eq!(
        statements,
        "CREATE ROLE deskbridge_reader NOLOGIN; GRANT deskbridge_reader TO \"we ak\"; GRANT TEMPORARY ON DATABASE weak TO \
         deskbridge_reader; GRANT USAGE ON SCHEMA deskbridge_read TO deskbridge_reader; GRANT SELECT ON ALL TABLES IN SCHEMA \
         deskbridge_read TO deskbridge_reader;"
    );
    let mut db = PgConnection::connect(&weak.url("weak")).await.expect("the admin connects");
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut db).await.expect("the statements run");
    query::check(&ctx, 1, &activation).await.expect("it may be used now");
    // Taken away again, it says so again, without making what is there.
    sqlx::raw_sql("REVOKE SELECT ON deskbridge_read.person FROM deskbridge_reader")
        .execute(&mut db)
        .await
        .expect("revoked");
    let (_, todo) = refusal(&ctx, &activation).await;
    assert!(todo.contains("run: GRANT deskbridge_reader TO"), "{todo}");
    db.close().await.expect("closed");
    ctx.pool.close().await;
    tokio::task::spawn_blocking(move || drop(weak)).await.expect("it stops");
}

#[tokio::test]
async fn the_readme_lists_what_queries_may_read_and_its_example_is_taken() {
    let mut db = PgConnection::connect(&database()).await.expect("a database");
    let views: Vec<(String, Vec<String>)> = sqlx::query_as(
        "SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attnum) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE c.relnamespace = 'deskbridge_read'::regnamespace AND c.relkind = 'v' GROUP BY c.oid ORDER BY c.oid",
    )
    .fetch_all(&mut db)
    .await
    .expect("views");
    let told: Vec<String> = views
        .iter()
        .map(|(view, columns)| {
            format!(
                "| `{view}` | {} |",
                columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ")
            )
        })
        .collect();
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    let missing: Vec<&String> = told.iter().filter(|line| !readme.contains(line.as_str())).collect();
    assert!(missing.is_empty() && !told.is_empty(), "the README lacks these lines:\n{}", told.join("\n"));
    let section = readme.split("### Rows by a query").nth(1).expect("the section");
    let example = section.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let world = world().await;
    query::check(&world.ctx, 1, &read(example).expect("a file")).await.expect("it may be used");
}
