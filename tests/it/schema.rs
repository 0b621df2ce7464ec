//! The house rules for tables and SQL (design.md, "Past one machine"): in the migrations, in a migrated database, and
//! in every statement of `src/db/`.

mod migrations;
mod statements;

use crate::support;
use crate::tidy::report::{Exception, Fault, hold};
use crate::tidy::source::{Source, read};
use deskbridge::db::merge::{FOLDED, MOVED};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use statements::{Statement, statements};
use std::collections::BTreeSet;

/// Tables that stay ordinary when the others are distributed.
pub const CONTROL: &[&str] = &[
    "workspace",
    "source",
    "checkpoint",
    "job",
    "run",
    "schedule",
    "rate_budget",
    "source_grant",
    "sign_in",
    "webhook_watch",
    "_sqlx_migrations",
];

/// Where faults of the migrated schema are told.
const SCHEMA: &str = "migrations";

async fn migrated() -> PgConnection {
    PgConnection::connect(&support::database()).await.expect("the migrated database answers")
}

async fn rows(db: &mut PgConnection, sql: &str) -> Vec<(String, String)> {
    sqlx::query_as(AssertSqlSafe(sql)).fetch_all(db).await.expect(sql)
}

/// The query, with `DATA` as the condition that `c` is a data table: no control table and no partition of another.
async fn of_data_tables(db: &mut PgConnection, sql: &str) -> Vec<(String, String)> {
    let control: Vec<String> = CONTROL.iter().map(|table| format!("'{table}'")).collect();
    let data = format!(
        "(c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND c.relname NOT IN ({}))",
        control.join(", ")
    );
    rows(db, &sql.replace("DATA", &data)).await
}

async fn data_tables(db: &mut PgConnection) -> BTreeSet<String> {
    let tables = of_data_tables(db, "SELECT c.relname::text, '' FROM pg_class c WHERE DATA").await;
    tables.into_iter().map(|(table, _)| table).collect()
}

fn faults(rows: Vec<(String, String)>, why: &str) -> Vec<Fault> {
    rows.into_iter().map(|(table, what)| Fault::new(SCHEMA, 0, format!("{table}: {what}: {why}"))).collect()
}

#[tokio::test]
async fn keys_begin_with_the_workspace() {
    const EXCEPTIONS: &[Exception] = &[];
    let mut db = migrated().await;
    let sql = "SELECT c.relname::text, 'has no primary key' FROM pg_class c
               WHERE DATA AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)";
    let mut found = faults(of_data_tables(&mut db, sql).await, "every data table has one");
    let sql = "SELECT c.relname::text, 'unique index ' || x.relname FROM pg_class c
               JOIN pg_index i ON i.indrelid = c.oid AND i.indisunique JOIN pg_class x ON x.oid = i.indexrelid
               LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
               WHERE DATA AND a.attname IS DISTINCT FROM 'workspace_id'";
    found.extend(faults(of_data_tables(&mut db, sql).await, "does not begin with workspace_id"));
    let sql = "SELECT c.relname::text, 'foreign key ' || f.conname FROM pg_class c
               JOIN pg_constraint f ON f.conrelid = c.oid AND f.contype = 'f'
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = f.conkey[1]
               WHERE DATA AND a.attname <> 'workspace_id'";
    found.extend(faults(of_data_tables(&mut db, sql).await, "does not begin with workspace_id"));
    let sql = "SELECT c.relname::text, a.attname || ' ' || format_type(a.atttypid, a.atttypmod) FROM pg_class c
               JOIN pg_index i ON i.indrelid = c.oid AND i.indisunique
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey::smallint[])
               WHERE DATA AND format_type(a.atttypid, a.atttypmod)
                   NOT IN ('bigint', 'uuid', 'text', 'timestamp with time zone', 'date', 'bytea')";
    found.extend(faults(of_data_tables(&mut db, sql).await, "keys are bigint, uuid, text, bytea, date or a time"));
    hold("Data tables have workspace_id first in every key", &found, EXCEPTIONS);
    let tables = data_tables(&mut db).await;
    assert!(tables.len() > 15 && tables.contains("person") && tables.contains("activity"), "{tables:?}");
}

#[tokio::test]
async fn data_tables_do_nothing_by_themselves() {
    const EXCEPTIONS: &[Exception] = &[];
    let mut db = migrated().await;
    let sql = "SELECT c.relname::text, 'trigger ' || t.tgname FROM pg_class c
               JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal WHERE DATA";
    let mut found = faults(of_data_tables(&mut db, sql).await, "no trigger on a data table");
    let sql =
        "SELECT c.relname::text, a.attname || ' has the default ' || pg_get_expr(d.adbin, d.adrelid) FROM pg_class c
               JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
               WHERE DATA AND pg_get_expr(d.adbin, d.adrelid) ~* '[(]|current_|localtime'";
    found.extend(faults(of_data_tables(&mut db, sql).await, "defaults are constants; times are parameters"));
    let sql = "SELECT c.relname::text, 'is a partition and has partitions' FROM pg_class c
               WHERE c.relispartition AND c.relkind = 'p'";
    found.extend(faults(rows(&mut db, sql).await, "one level of partitions"));
    let sql =
        "SELECT c.relname::text, a.attname || ' counts by itself in ' || format_type(a.atttypid, NULL) FROM pg_class c
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attidentity <> ''
               WHERE DATA AND (a.atttypid <> 'bigint'::regtype OR a.attidentity <> 'd')";
    found.extend(faults(of_data_tables(&mut db, sql).await, "identities are bigint and may be given"));
    hold("No trigger, no volatile default, one level of partitions", &found, EXCEPTIONS);
}

#[tokio::test]
async fn everything_is_explained() {
    // Columns of views: those of tables are explained there, and a view says in its own comment what it adds.
    const EXCEPTIONS: &[Exception] = &[];
    let mut db = migrated().await;
    let sql = "SELECT c.relname::text, CASE c.relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' ELSE 'table' END
               FROM pg_class c LEFT JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT c.relispartition
                 AND c.relname <> '_sqlx_migrations' AND d.description IS NULL
                 AND NOT EXISTS (SELECT 1 FROM pg_depend o WHERE o.objid = c.oid AND o.deptype IN ('a', 'i') AND c.relkind = 'S')";
    let mut found = faults(rows(&mut db, sql).await, "has no comment");
    let sql = "SELECT c.relname || '.' || a.attname, 'column' FROM pg_class c
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                 AND c.relname <> '_sqlx_migrations' AND col_description(c.oid, a.attnum) IS NULL";
    found.extend(faults(rows(&mut db, sql).await, "has no comment"));
    let sql = "SELECT c.relname || coalesce('.' || a.attname, ''), 'view for queries' FROM pg_class c
               JOIN (SELECT attrelid, attnum, attname FROM pg_attribute UNION ALL SELECT oid, 0, NULL FROM pg_class) a
                   ON a.attrelid = c.oid AND a.attnum >= 0
               WHERE c.relnamespace = 'deskbridge_read'::regnamespace AND c.relkind = 'v'
                 AND NOT EXISTS (SELECT 1 FROM pg_description d WHERE d.objoid = c.oid AND d.objsubid = a.attnum)";
    found.extend(faults(rows(&mut db, sql).await, "has no comment"));
    hold("Every table, view and column has a comment", &found, EXCEPTIONS);
}

#[tokio::test]
async fn whatever_is_a_persons_follows_a_merge() {
    let mut db = migrated().await;
    let sql = "SELECT c.relname::text, '' FROM pg_class c
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'person_id' AND NOT a.attisdropped WHERE DATA";
    let with_person: BTreeSet<String> =
        of_data_tables(&mut db, sql).await.into_iter().map(|(table, _)| table).collect();
    let listed: BTreeSet<String> = MOVED.iter().chain(FOLDED).map(|table| (*table).to_string()).collect();
    let forgotten = with_person.difference(&listed).map(|table| {
        Fault::new(
            "src/db/merge.rs",
            0,
            format!("{table} has person_id and is neither in MOVED nor in FOLDED: lost in a merge"),
        )
    });
    let gone = listed.difference(&with_person);
    let gone = gone.map(|table| Fault::new("src/db/merge.rs", 0, format!("{table} is listed and has no person_id")));
    let found: Vec<Fault> = forgotten.chain(gone).collect();
    hold("Everything that is a person's is moved or folded in a merge (I11)", &found, &[]);
    assert_eq!(MOVED.len() + FOLDED.len(), listed.len(), "a table is listed twice");
}

#[tokio::test]
async fn statements_on_data_tables_name_the_workspace() {
    const EXCEPTIONS: &[Exception] = &[
        ("src/db/job.rs", "fn enqueue_due", "a look over all sources, joined by workspace_id; writes a control table"),
        ("src/db/job.rs", "fn enqueue_pushes", "the same of what is to be sent"),
        ("src/db/partition.rs", "fn attach", "upkeep of partitions, by time for all workspaces"),
        ("src/db/partition.rs", "fn drop_partition", "upkeep of partitions, by time for all workspaces"),
        (
            "src/db/raw_event.rs",
            "fn store",
            "one statement for all workspaces: workspace_id is the first of its arrays",
        ),
        (
            "src/db/raw_event.rs",
            "fn add_pending",
            "one statement for all workspaces: workspace_id is the first of its arrays",
        ),
        ("src/db/raw_event.rs", "fn is_settled", "upkeep of partitions, by day for all workspaces"),
    ];
    let mut db = migrated().await;
    let tables = data_tables(&mut db).await;
    let mut found = Vec::new();
    for statement in statements() {
        let named = statement.tables(&tables);
        let times = named.len() + usize::from(statement.has_open_table());
        if times == 0 {
            continue;
        }
        let workspaces = statement.words.iter().filter(|word| *word == "workspace_id").count();
        if !carries_workspace(&statement, &tables) {
            found.push(statement.fault(format!("touches {named:?} without workspace_id = $1")));
        } else if workspaces < times {
            found.push(statement.fault(format!("touches {named:?}, and names workspace_id only {workspaces} time(s)")));
        }
    }
    hold("Every statement on a data table carries workspace_id = $1", &found, EXCEPTIONS);
}

/// True when a statement is about the workspace in its first parameter: by a condition, or as the first column of an
/// INSERT into a data table.
fn carries_workspace(statement: &Statement, tables: &BTreeSet<String>) -> bool {
    if statement.has("workspace_id = $1") {
        return true;
    }
    let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
    let given = ["select $1", "distinct $1", ") $1 ,", "values ( $1"];
    match words.as_slice() {
        ["insert", "into", table, "(", "workspace_id", ..] => {
            tables.contains(*table) && given.iter().any(|given| statement.has(given))
        }
        _ => false,
    }
}

#[tokio::test]
async fn statements_keep_what_distribution_needs() {
    const EXCEPTIONS: &[Exception] = &[(
        "src/db/query_rows.rs",
        "fn milliseconds",
        "measures how long an operator's query takes; nothing is stored",
    )];
    const VOLATILE: &[&str] = &[
        "now ( )",
        "clock_timestamp",
        "statement_timestamp",
        "transaction_timestamp",
        "current_timestamp",
        "current_date",
        "current_time",
        "localtime",
        "localtimestamp",
        "timeofday",
        "random ( )",
        "gen_random_uuid",
        "uuidv7",
    ];
    const COORDINATION: &[&str] = &[
        "listen",
        "notify",
        "pg_notify",
        "pg_advisory_lock",
        "pg_advisory_xact_lock",
        "pg_try_advisory_lock",
        "pg_try_advisory_xact_lock",
    ];
    let mut db = migrated().await;
    let tables = data_tables(&mut db).await;
    let mut found = Vec::new();
    for statement in statements() {
        for words in VOLATILE.iter().filter(|words| statement.has(words)) {
            found.push(statement.fault(format!("has {words}: times are parameters")));
        }
        for words in COORDINATION.iter().filter(|words| statement.has(words)) {
            found.push(statement.fault(format!("has {words}: correctness depends on rows only")));
        }
        let locks = ["for update", "for no key update", "for share", "for key share", "skip locked"];
        let named = statement.tables(&tables);
        if locks.iter().any(|lock| statement.has(lock)) && (!named.is_empty() || statement.has_open_table()) {
            found.push(statement.fault(format!("locks rows of {named:?}: only control tables are locked")));
        }
        if is_cte_around_insert(&statement) {
            found.push(statement.fault("is a WITH around an INSERT"));
        }
    }
    hold("Nothing volatile, no locks on data tables, no WITH around an INSERT", &found, EXCEPTIONS);
}

fn is_cte_around_insert(statement: &Statement) -> bool {
    let is_cte = statement.words.windows(3).any(|words| words[1] == "as" && words[2] == "(" && words[0] != ")")
        && statement.words.iter().any(|word| word == "with");
    is_cte && statement.has("insert into")
}

#[tokio::test]
async fn every_statement_fits_the_schema() {
    const EXCEPTIONS: &[Exception] = &[];
    let mut db = migrated().await;
    let mut found = Vec::new();
    let mut built = Vec::new();
    for statement in statements() {
        let texts = texts(&statement);
        if texts.is_empty() {
            built.push(format!("{}:{} {}", statement.path, statement.line, statement.place));
        }
        for text in texts {
            let prepared = sqlx::raw_sql(AssertSqlSafe(format!("PREPARE s AS {text}"))).execute(&mut db).await;
            match prepared {
                Ok(_) => _ = sqlx::raw_sql("DEALLOCATE s").execute(&mut db).await.expect("it was prepared"),
                Err(error) => found.push(statement.fault(format!("does not fit: {error}"))),
            }
        }
    }
    println!("not prepared, for they are put together when they run: {built:#?}");
    hold("Every statement fits the migrated schema", &found, EXCEPTIONS);
    // Partitions are made and dropped in every test; the parts of a profile are read in `people`, facts of mappings in `activation::rows`.
    let elsewhere = ["src/db/partition.rs", "src/db/profile.rs", "src/db/activation_facts.rs"];
    let held = built.iter().all(|statement| elsewhere.iter().any(|file| statement.starts_with(file)));
    assert!(held, "a statement that is put together must be run by a test: {built:#?}");
}

/// What a statement may be when it runs: as it is written, with the constants of its file in it, once for each table of
/// a person; nothing when it is put together in another way.
fn texts(statement: &Statement) -> Vec<String> {
    let source = Source::new(&statement.path, read(&statement.path));
    let mut text = statement.sql.clone();
    for literal in &source.literals {
        let before = source.code[..literal.at].trim_end_matches('"').trim_end().strip_suffix(": &str =");
        if let Some(name) = before.and_then(|before| before.rsplit(' ').next()) {
            text = text.replace(&format!("{{{name}}}"), &literal.text);
        }
    }
    let by_table = text.contains("{table}") && statement.path == "src/db/merge.rs";
    let tables = MOVED.iter().chain(FOLDED).filter(|_| by_table);
    let all = if by_table { tables.map(|table| text.replace("{table}", table)).collect() } else { vec![text] };
    all.into_iter().filter(|text| !(statement.is_built && text.contains('{'))).collect()
}
