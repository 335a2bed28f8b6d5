//! What `ribwatch decode` prints of a message: the JSON fields that the contract fixes, and the verdict of RFC 7606.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::wire::error::{ErrorAction, Fault};

/// One message as printed.
#[derive(Serialize)]
pub(super) struct Message {
    /// `None` where the header does not tell.
    pub(super) r#type: Option<&'static str>,
    #[serde(flatten)]
    pub(super) content: Content,
    #[serde(flatten)]
    pub(super) verdict: Verdict,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Content {
    Open {
        version: u8,
        asn: u32,
        my_as: u16,
        hold_time_s: u16,
        router_id: String,
        capabilities: Vec<String>,
    },
    Update {
        announced: Vec<Route>,
        withdrawn: Vec<Route>,
        attributes: Map<String, Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        end_of_rib: Option<String>,
    },
    Notification {
        code: u8,
        subcode: u8,
        text: String,
        data: String,
    },
    RouteRefresh {
        family: String,
        subtype: u8,
    },
    Nothing {},
}

#[derive(Serialize)]
pub(super) struct Route {
    pub(super) family: String,
    pub(super) prefix: String,
    pub(super) path_id: u32,
    pub(super) next_hop: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) labels: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nlri: Option<Value>,
}

/// What the message comes to. The first fault of those that cost most stands in front, all of them in `faults`.
#[derive(Serialize)]
pub(super) struct Verdict {
    pub(super) outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rfc: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notification: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) faults: Vec<FaultShown>,
}

#[derive(Serialize)]
pub(super) struct FaultShown {
    attribute: Option<u8>,
    offset: usize,
    error: String,
    rfc: &'static str,
    outcome: &'static str,
}

impl Verdict {
    pub(super) fn ok() -> Self {
        Self::of(Vec::new())
    }

    pub(super) fn of(faults: Vec<Fault>) -> Self {
        let worst = faults.iter().rev().max_by_key(|fault| fault.action);
        Self {
            outcome: worst.map_or("ok", |fault| outcome(fault.action)),
            error: worst.map(|fault| format!("{} at octet {}", fault.what, fault.at)),
            rfc: worst.map(|fault| fault.rfc),
            notification: worst.and_then(|fault| fault.notification).map(|told| told.to_string()),
            faults: faults
                .iter()
                .map(|fault| FaultShown {
                    attribute: fault.attribute,
                    offset: fault.at,
                    error: fault.what.clone(),
                    rfc: fault.rfc,
                    outcome: outcome(fault.action),
                })
                .collect(),
        }
    }
}

fn outcome(action: ErrorAction) -> &'static str {
    match action {
        ErrorAction::AttributeDiscard => "discard",
        ErrorAction::TreatAsWithdraw => "withdraw",
        ErrorAction::SessionReset => "reset",
    }
}
