//! `/user_fields`, `/organization_fields`, `/ticket_fields` and their options (Z§3, Z§4).
use super::ask;
use crate::acts::fields::{ChoicePatch, FieldPatch};
use crate::acts::{self, Refusal};
use crate::http::page::List;
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::catalog::{Choice, FieldDef, FieldsOf};
use serde_json::{Value, json};

/// What a request may say of a field.
const PERMITTED: &[&str] = &[
    "type",
    "key",
    "title",
    "raw_title",
    "description",
    "raw_description",
    "regexp_for_validation",
    "tag",
    "custom_field_options",
    "relationship_target_type",
    "relationship_filter",
    "active",
    "position",
    "required",
    "collapsed_for_agents",
    "title_in_portal",
    "raw_title_in_portal",
    "visible_in_portal",
    "editable_in_portal",
    "required_in_portal",
    "agent_description",
];

/// Answers the fields of one sort of record.
pub fn route(world: &mut World, caller: &Caller, req: &Req, of: FieldsOf, rest: &[&str]) -> Option<Reply> {
    let reply = match (req.method.as_str(), rest) {
        ("GET", []) => list(world, req, of),
        ("GET", ["count"]) if of == FieldsOf::Tickets => ask::count(caller, world.catalog.ticket_fields.len()),
        ("POST", []) => create(world, caller, req, of),
        ("PUT", ["reorder"]) => reorder(world, req, of),
        (_, [key, rest @ ..]) => {
            let Some(id) = world.find_field(of, key).map(|def| def.id) else { return Some(Reply::not_found()) };
            return one(world, caller, req, of, id, rest);
        }
        _ => return None,
    };
    Some(reply)
}

fn write(world: &World, of: FieldsOf, id: i64) -> Value {
    let def = world.catalog.fields(of).iter().find(|def| def.id == id);
    def.map_or(Value::Null, |def| {
        let mut value = def.as_rest(&world.host, of);
        if let Some(shown) = value.get_mut("custom_field_options").and_then(Value::as_array_mut) {
            *shown = options(world, of, def);
        }
        value
    })
}

fn list(world: &World, req: &Req, of: FieldsOf) -> Reply {
    let ids = world.catalog.fields(of).iter().map(|def| def.id).collect();
    List { name: of.many(), host: &world.host, ids }.page(req, |id| write(world, of, id))
}

fn create(world: &mut World, caller: &Caller, req: &Req, of: FieldsOf) -> Reply {
    let made = ask::given(req, of.one())
        .and_then(|given| Ok(world.create_field(of, caller.now, acts::read::<FieldPatch>(&given)?)?));
    match made {
        Ok(id) => ask::warn(ask::one(201, of.one(), &write(world, of, id)), req, of.one(), PERMITTED, vec![]),
        Err(reply) => reply,
    }
}

fn reorder(world: &mut World, req: &Req, of: FieldsOf) -> Reply {
    let named = format!("{}_ids", of.one());
    let Ok(ids) = serde_json::from_value::<Vec<i64>>(req.body[&named].clone()) else {
        return Reply::invalid(req, &named, "an array");
    };
    world.reorder_fields(of, &ids);
    Reply::ok(&"")
}

fn one(world: &mut World, caller: &Caller, req: &Req, of: FieldsOf, id: i64, rest: &[&str]) -> Option<Reply> {
    let done = match (req.method.as_str(), rest) {
        ("GET", []) => return Some(ask::one(200, of.one(), &write(world, of, id))),
        ("PUT", []) => {
            let changed = ask::given(req, of.one())
                .and_then(|given| Ok(world.update_field(of, caller.now, id, acts::read::<FieldPatch>(&given)?)?));
            let told = |()| ask::warn(ask::one(200, of.one(), &write(world, of, id)), req, of.one(), PERMITTED, vec![]);
            return Some(changed.map_or_else(|reply| reply, told));
        }
        ("DELETE", []) => world.delete_field(of, id),
        ("GET", ["options"]) => return Some(list_options(world, req, of, id)),
        ("POST", ["options"]) => return Some(put_option(world, caller, req, of, id)),
        ("GET", ["options", option]) => {
            let def = world.catalog.fields(of).iter().find(|def| def.id == id)?;
            let choice = def.choices.iter().find(|choice| choice.id.to_string() == *option);
            let told = |choice| Reply::ok(&json!({"custom_field_option": option_json(world, of, def, choice)}));
            return Some(choice.map_or_else(Reply::not_found, told));
        }
        ("DELETE", ["options", option]) => match option.parse() {
            Ok(option) => world.delete_choice(of, caller.now, id, option),
            Err(_) => Err(Refusal::NotFound),
        },
        _ => return None,
    };
    Some(done.map_or_else(Reply::from, |()| Reply::nothing()))
}

fn options(world: &World, of: FieldsOf, def: &FieldDef) -> Vec<Value> {
    def.choices.iter().map(|choice| option_json(world, of, def, choice)).collect()
}

/// A choice as Zendesk writes it: those of users and organizations say where they are.
fn option_json(world: &World, of: FieldsOf, def: &FieldDef, choice: &Choice) -> Value {
    let mut value = json!(choice);
    if of != FieldsOf::Tickets {
        value["url"] = format!("{}/api/v2/{}/{}/options/{}.json", world.host, of.many(), def.id, choice.id).into();
        let position = def.choices.iter().position(|other| other.id == choice.id);
        value["position"] = position.into();
    } else if choice.default.is_none() {
        value["default"] = false.into();
    }
    value
}

fn list_options(world: &World, req: &Req, of: FieldsOf, id: i64) -> Reply {
    let Some(def) = world.catalog.fields(of).iter().find(|def| def.id == id) else { return Reply::not_found() };
    let ids = def.choices.iter().map(|choice| choice.id).collect();
    List { name: "custom_field_options", host: &world.host, ids }.page(req, |id| {
        let choice = def.choices.iter().find(|choice| choice.id == id);
        choice.map_or(Value::Null, |choice| option_json(world, of, def, choice))
    })
}

fn put_option(world: &mut World, caller: &Caller, req: &Req, of: FieldsOf, id: i64) -> Reply {
    let done = ask::given(req, "custom_field_option")
        .and_then(|given| Ok(world.put_choice(of, caller.now, id, acts::read::<ChoicePatch>(&given)?)?));
    let (option, made) = match done {
        Ok(done) => done,
        Err(reply) => return reply,
    };
    let def = world.catalog.fields(of).iter().find(|def| def.id == id);
    let found = def.and_then(|def| Some((def, def.choices.iter().find(|choice| choice.id == option)?)));
    match found {
        Some((def, choice)) => {
            let status = if made { 201 } else { 200 };
            ask::one(status, "custom_field_option", &option_json(world, of, def, choice))
        }
        None => Reply::not_found(),
    }
}
