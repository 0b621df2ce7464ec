//! Who of the agents is in which group.
use crate::time::Stamp;
use serde_json::{Value, json};

/// An agent's place in a group.
#[derive(Clone, Debug)]
pub struct GroupMembership {
    /// Its id.
    pub id: i64,
    /// The agent.
    pub user_id: i64,
    /// The group.
    pub group_id: i64,
    /// When it began.
    pub created_at: Stamp,
    /// When it last changed.
    pub updated_at: Stamp,
}

impl GroupMembership {
    /// The membership as REST writes it; `default` tells whether it is the agent's first.
    pub fn as_rest(&self, host: &str, default: bool) -> Value {
        json!({"id": self.id, "url": format!("{host}/api/v2/group_memberships/{}.json", self.id),
            "user_id": self.user_id, "group_id": self.group_id, "default": default,
            "created_at": self.created_at, "updated_at": self.updated_at})
    }
}
