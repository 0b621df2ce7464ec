//! `source estimate`: how long a first sync takes on each plan.

use super::error::usage;
use super::output::{Format, Table, say, say_json};
use super::session::Session;
use crate::pipeline::connect::only_support;
use crate::rules::estimate::{Counts, PLANS, duration, readings};
use crate::rules::retention;
use crate::zendesk::counts;
use serde_json::json;

/// Updates of a ticket, where nobody says better: a made-up middle, so say better where you can.
const UPDATES_A_TICKET: f64 = 5.0;

/// `deskbridge source estimate`.
#[derive(Debug, clap::Args)]
pub struct Estimate {
    /// Name of a connected source, whose account is asked for its counts; without one, give --users and --tickets.
    name: Option<String>,
    /// Users, deleted ones among them.
    #[arg(long)]
    users: Option<u64>,
    /// Organizations.
    #[arg(long)]
    organizations: Option<u64>,
    /// Tickets that changed within the time that a first sync reads (90 days, or as long as activities are kept).
    #[arg(long)]
    tickets: Option<u64>,
    /// Updates of a ticket within that time, on average.
    #[arg(long, default_value_t = UPDATES_A_TICKET)]
    updates_per_ticket: f64,
    #[command(flatten)]
    format: Format,
}

/// Prints the estimate.
pub async fn run(session: &Session, args: &Estimate) -> anyhow::Result<()> {
    if !(0.0..=100_000.0).contains(&args.updates_per_ticket) {
        return Err(usage("--updates-per-ticket is not between 0 and 100000", "give an average such as 5"));
    }
    let known = match &args.name {
        Some(name) => Some(ask(session, name).await?),
        None if args.users.is_none() || args.tickets.is_none() => {
            return Err(usage(
                "nothing says how much there is",
                "give a source's name, or --users N --tickets N; see deskbridge source estimate --help",
            ));
        }
        None => None,
    };
    let tickets = args.tickets.or(known.map(|known| known.tickets)).unwrap_or_default();
    let counts = Counts {
        users: args.users.or(known.map(|known| known.users + known.deleted_users)).unwrap_or_default(),
        organizations: args.organizations.or(known.map(|known| known.organizations)).unwrap_or_default(),
        tickets,
        updates: (tickets as f64 * args.updates_per_ticket).round() as u64,
        deleted_users: known.map(|known| known.deleted_users).unwrap_or_default(),
    };
    report(session, &counts, args.format);
    Ok(())
}

async fn ask(session: &Session, name: &str) -> anyhow::Result<counts::AccountCounts> {
    let source = session.source(name).await?;
    only_support(&source)?;
    let since = retention::first_sync_since(session.ctx.clock.now(), &source.settings.retention);
    let client = session.ctx.client(&source)?;
    Ok(counts::read(&client, since).await?)
}

fn report(session: &Session, counts: &Counts, format: Format) {
    let zendesk = &session.ctx.settings.zendesk;
    let readings = readings(counts, u64::from(zendesk.page_size));
    let plans = PLANS.map(|plan| (plan, duration(&readings, plan, zendesk.requests_share)));
    if format.json {
        let streams = readings.iter().map(|reading| {
            json!({"stream": reading.stream.as_str(), "records": reading.rows, "requests": reading.requests, "export": reading.export})
        });
        let plans = plans.iter().map(|(plan, time)| {
            json!({"plan": plan.name, "requests_per_minute": plan.requests, "exports_per_minute": plan.exports,
                "minutes": time.minutes, "waits_for": if time.exports_bind { "exports" } else { "requests" }})
        });
        return say_json(&json!({"streams": streams.collect::<Vec<_>>(), "plans": plans.collect::<Vec<_>>()}));
    }
    let mut table = Table::new(&["stream", "records", "requests"]);
    for reading in &readings {
        table.row([reading.stream.as_str().to_string(), reading.rows.to_string(), reading.requests.to_string()]);
    }
    table.print();
    say("");
    let mut table = Table::new(&["plan", "requests/min", "exports/min", "first sync", "waits for"]);
    for (plan, time) in plans {
        let waits_for = if time.exports_bind { "exports" } else { "requests" };
        table.row([
            plan.name.to_string(),
            plan.requests.to_string(),
            plan.exports.to_string(),
            words(time.minutes),
            waits_for.to_string(),
        ]);
    }
    table.print();
    say(format_args!(
        "\nExports bring {} records a request. People are there first, their history comes last. Counts over 100,000 are up to a day old in\n\
         Zendesk, and how often a ticket was updated is a guess unless --updates-per-ticket says it. Other apps that export share the budget.",
        zendesk.page_size
    ));
}

/// A time in words.
fn words(minutes: f64) -> String {
    match minutes {
        ..1.0 => "under a minute".into(),
        ..120.0 => format!("{minutes:.0} minutes"),
        ..2880.0 => format!("{:.1} hours", minutes / 60.0),
        _ => format!("{:.1} days", minutes / 1440.0),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_in_words() {
        let check = |minutes: f64, expected: &str| assert_eq!(super::words(minutes), expected);
        check(0.0, "under a minute");
        check(90.0, "90 minutes");
        check(700.0, "11.7 hours");
        check(2880.0, "2.0 days");
    }
}
