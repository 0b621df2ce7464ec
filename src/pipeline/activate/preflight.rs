//! Target fields of the account, looked at before anything is sent; missing ones created on request.

use super::env::{fields, forget_fields};
use crate::model::activation::Activation;
use crate::model::push::Fault;
use crate::model::source::Source;
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::preflight::check;
use crate::zendesk::push;

/// What a look at the fields found, and did.
#[derive(Debug, Default)]
pub struct Preflight {
    /// What keeps the activation from running.
    pub problems: Vec<Fault>,
    /// Fields that were made, with their types.
    pub created: Vec<String>,
    /// Missing ones that can be made.
    pub creatable: Vec<String>,
    /// What should be known before it runs.
    pub remarks: Vec<String>,
}

/// Looks at the fields of an activation's account; with `create`, missing custom ones are made with the type that their mapping needs,
/// and an activation that is open is to be opened anew.
pub async fn look(
    ctx: &Context,
    source: &Source,
    activation: &Activation,
    create: bool,
) -> Result<Preflight, FlowError> {
    let client = ctx.client(source)?;
    let fields = fields(ctx, source, &client, activation).await?;
    let region = Some(ctx.settings.privacy.default_region.as_str()).filter(|region| !region.is_empty());
    let checked = check(activation, &fields, region);
    let (mut problems, mut created) = (checked.problems, Vec::new());
    let missing: Vec<String> = checked.missing.iter().map(|field| field.name.clone()).collect();
    for field in checked.missing.iter().filter(|_| create) {
        let key = field.name.rsplit('.').next().unwrap_or(&field.name);
        push::create_field(&client, activation.target, field, key).await?;
        problems.retain(|fault| fault.field.as_deref() != Some(field.name.as_str()));
        created.push(format!("{} ({})", field.name, field.kind));
    }
    if !created.is_empty() {
        forget_fields(ctx, source.id);
    }
    let creatable = if create { Vec::new() } else { missing };
    Ok(Preflight { problems, created, remarks: checked.remarks, creatable })
}

impl Preflight {
    /// Why the activation cannot run and what to do about it, where it cannot.
    pub fn refusal(&self, name: &str) -> Option<(String, String)> {
        if self.problems.is_empty() {
            return None;
        }
        let mut what = format!("activation {name} does not fit its account:");
        for fault in &self.problems {
            what += &format!("\n  {}: {}", fault.field.as_deref().unwrap_or("the file"), fault.reason);
        }
        let mut todo = Vec::new();
        if !self.creatable.is_empty() {
            todo.push("missing custom fields are made with the right type by: deskbridge activation apply -f FILE --create-fields");
        }
        if self.problems.iter().any(|fault| !fault.field.as_ref().is_some_and(|name| self.creatable.contains(name))) {
            todo.push("mend the fields in Zendesk (Admin Center, People or Organizations: fields), or the mapping in the file");
        }
        Some((what, todo.join("; ")))
    }
}
