//! What the command line says when something does not work: what and where, and what to do about it.

use crate::app::StartError;
use crate::db::pool::Unfit;
use crate::pipeline::activate::stored::ActivationError;
use crate::pipeline::context::FlowError;
use crate::pipeline::lifecycle::LifecycleError;
use crate::pipeline::webhook::RotateError;
use crate::telemetry::error_chain;
use crate::zendesk::account::AccountError;
use crate::zendesk::error::Kind;

/// Why a command ends early, in the words of the command line itself.
#[derive(Debug, thiserror::Error)]
pub enum Complaint {
    /// The command cannot be carried out as it was given. Exit code 2.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What to do.
        todo: String,
    },
    /// The command was understood and did not succeed. Exit code 1.
    #[error("{what}")]
    Failed {
        /// What went wrong, and where.
        what: String,
        /// What to do.
        todo: String,
    },
    /// Everything has been said already. Exit code 1.
    #[error("see above")]
    Said,
}

/// A command that was given in a way that cannot work.
pub fn usage(what: impl Into<String>, todo: impl Into<String>) -> anyhow::Error {
    Complaint::Usage { what: what.into(), todo: todo.into() }.into()
}

/// A command that did not succeed.
pub fn failed(what: impl Into<String>, todo: impl Into<String>) -> anyhow::Error {
    Complaint::Failed { what: what.into(), todo: todo.into() }.into()
}

/// The lines to print for an error.
pub fn render(error: &anyhow::Error) -> String {
    match parts(error) {
        (what, None) => format!("error: {what}"),
        (what, Some(todo)) => format!("error: {what}\nwhat to do: {todo}"),
    }
}

/// What went wrong, and what to do about it where the message does not say so itself.
pub fn parts(error: &anyhow::Error) -> (String, Option<String>) {
    // Some say in their message what to do; here that has a place of its own.
    let message = error.chain().find_map(|cause| match cause.downcast_ref::<LifecycleError>()? {
        LifecycleError::Account(AccountError::Api { error }) => Some(error.to_string()),
        _ => None,
    });
    (message.unwrap_or_else(|| error_chain(error.as_ref())), remedy(error))
}

/// The code the process ends with.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Complaint>() {
        Some(Complaint::Usage { .. }) => 2,
        _ => 1,
    }
}

/// What to do about it, where the message does not say so itself.
fn remedy(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(complaint) = cause.downcast_ref::<Complaint>() {
            return match complaint {
                Complaint::Usage { todo, .. } | Complaint::Failed { todo, .. } => Some(todo.clone()),
                Complaint::Said => None,
            };
        }
        if let Some(LifecycleError::Account(AccountError::Api { error })) = cause.downcast_ref::<LifecycleError>()
            && error.kind == Kind::Unauthorized
        {
            return Some(
                "check the token, the client or the address, and that the account's name is right".to_string(),
            );
        }
        if let Some(LifecycleError::Flow(flow)) = cause.downcast_ref::<LifecycleError>() {
            return Some(of_flow(flow));
        }
        if let Some(LifecycleError::Account(AccountError::Api { error })) = cause.downcast_ref::<LifecycleError>() {
            return Some(error.kind.remedy().to_string());
        }
        match cause.downcast_ref::<ActivationError>() {
            Some(ActivationError::Unknown(_)) => return Some("deskbridge activation list shows them".to_string()),
            Some(ActivationError::Refused { todo, .. }) => return Some(todo.clone()),
            Some(ActivationError::Flow(flow)) => return Some(of_flow(flow)),
            None => {}
        }
        if let Some(RotateError::Flow(flow)) = cause.downcast_ref::<RotateError>() {
            return Some(of_flow(flow));
        }
        if let Some(flow) = cause.downcast_ref::<FlowError>() {
            return Some(of_flow(flow));
        }
        if let Some(StartError::Unfit(Unfit::Unreachable(_)) | StartError::Database(_)) =
            cause.downcast_ref::<StartError>()
        {
            return Some(DATABASE.to_string());
        }
        if let Some(Unfit::Unreachable(_)) = cause.downcast_ref::<Unfit>() {
            return Some(DATABASE.to_string());
        }
        cause.downcast_ref::<crate::db::Error>().map(|_| DATABASE.to_string())
    })
}

/// Said of a database that does not do what it is told.
const DATABASE: &str =
    "see whether Postgres runs and whether database.url (DESKBRIDGE__DATABASE__URL) is right; then look at its log";

fn of_flow(error: &FlowError) -> String {
    match error {
        FlowError::Database(_) => DATABASE.to_string(),
        other => other.remedy().to_string(),
    }
}
