//! `ribwatch reload`: the daemon reads its file again and goes over to it, or says what that would change.

use clap::Args;
use ribwatch_proto::v1;
use serde_json::json;

use super::{
    client::{Client, Failure},
    output::Output,
};

#[derive(Args, Debug)]
pub(super) struct ReloadArgs {
    /// Only say what would change, and which sessions would reset
    #[arg(long)]
    dry_run: bool,
    /// Change nothing if a session would end or reset
    #[arg(long)]
    no_reset: bool,
}

/// Exit code 0 when it was done (or planned), 1 when it was refused or undone, 2 when the file has faults.
pub(super) async fn run(args: ReloadArgs, client: Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = v1::ReloadRequest { dry_run: args.dry_run, no_reset: args.no_reset };
    let answer = client.daemon().reload(request).await;
    let answer = answer.map_err(|status| client.refused(status))?.into_inner();
    if out.json() {
        let change = |change: &v1::ReloadChange| {
            json!({
                "kind": change.kind,
                "subject": change.subject,
                "keys": change.keys,
                "cost": change.cost,
                "text": change.text,
            })
        };
        out.json_line(&json!({
            "outcome": answer.outcome,
            "reason": (!answer.reason.is_empty()).then_some(&answer.reason),
            "changes": answer.changes.iter().map(change).collect::<Vec<_>>(),
        }))?;
    } else {
        for change in &answer.changes {
            out.line(&change.text)?;
        }
    }
    match answer.outcome.as_str() {
        "applied" | "planned" => {
            if !out.json() {
                out.line(&answer.summary)?;
            }
            Ok(())
        }
        _ => Err(Failure::No(answer.summary)),
    }
}
