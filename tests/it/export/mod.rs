//! What neighbours are told, by feature: each file a part of RFC 4271 §9.2 and of the RFCs that build on it.

mod add_path;
mod filters;
mod next_hop;
mod policy;
mod regroup;
mod roles;
mod route_server;
mod timing;
mod well_known;
