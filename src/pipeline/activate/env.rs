//! What a run of an activation works with.

use crate::model::activation::Activation;
use crate::model::push::TargetField;
use crate::model::source::Source;
use crate::zendesk::client::Client;
use std::sync::Arc;

/// An activation, ready to run.
#[derive(Clone)]
pub struct Env {
    /// The workspace.
    pub workspace: i64,
    /// Number of the activation.
    pub id: i64,
    /// How it is defined.
    pub activation: Activation,
    /// The source it writes to.
    pub source: Source,
    /// The source's client.
    pub client: Arc<Client>,
    /// The target fields that the account has.
    pub fields: Arc<Vec<TargetField>>,
}
