//! Activations: the way from what changes in the CDP to fields in Zendesk.

mod adoption;
mod always;
mod bad;
mod bed;
mod commands;
mod crash;
mod define;
mod echo;
mod leaving;
mod life;
mod measure;
mod organizations;
mod preflight;
mod query;
mod refused;
mod rows;
mod runs;
mod sell;
mod stops;
mod uncertain;
mod waiting;
mod whole;
mod wire;
