//! Target fields of the account, looked at before anything is sent; missing ones created on request.

use super::env::{Env, forget_fields};
use crate::model::push::Fault;
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::preflight::check;
use crate::zendesk::push;

/// What a look at the fields found, and did.
#[derive(Debug, Default)]
pub struct Preflight {
    /// What keeps the activation from running.
    pub problems: Vec<Fault>,
    /// Fields that were made.
    pub created: Vec<String>,
    /// What should be known before it runs.
    pub remarks: Vec<String>,
}

/// Looks at the fields; with `create`, missing custom ones are made with the type that their mapping needs, and the activation is to be
/// opened anew.
pub async fn preflight(ctx: &Context, env: &Env, create: bool) -> Result<Preflight, FlowError> {
    let region = Some(ctx.settings.privacy.default_region.as_str()).filter(|region| !region.is_empty());
    let checked = check(&env.activation, &env.fields, region);
    let (mut problems, mut created) = (checked.problems, Vec::new());
    for field in checked.missing.iter().filter(|_| create) {
        let key = field.name.rsplit('.').next().unwrap_or(&field.name);
        push::create_field(&env.client, env.activation.target, field, key).await?;
        problems.retain(|fault| fault.field.as_deref() != Some(field.name.as_str()));
        created.push(field.name.clone());
    }
    if !created.is_empty() {
        forget_fields(ctx, env.source.id);
    }
    Ok(Preflight { problems, created, remarks: checked.remarks })
}
