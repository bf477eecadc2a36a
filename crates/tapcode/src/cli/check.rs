//! How is a code checked from the command line?

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};
use tapcode_core::id::VerificationId;

use super::Screen;
use super::client::{Said, Server, tell_problem, text};
use super::screen::plain;

/// `tapcode check`; ends with 1 when the code is not right, so that `if tapcode check …` reads as it is meant.
#[derive(Args)]
#[command(after_help = "Ends with 0 when the code is right, with 1 when it is not.")]
pub struct Check {
    /// The verification, vrf_…
    #[arg(value_name = "VERIFICATION", value_parser = verification)]
    id: VerificationId,
    /// The code that was typed
    #[arg(value_name = "CODE")]
    code: String,
    #[command(flatten)]
    server: Server,
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Reads the id of a verification.
pub fn verification(text: &str) -> Result<VerificationId, String> {
    VerificationId::parse(text).map_err(|error| error.to_string())
}

impl Check {
    pub async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let path = format!("api/v1/verifications/{}/check", self.id);
        let checked = match self
            .server
            .client()?
            .ask(Method::POST, &path, Some(&json!({ "code": self.code })))
            .await?
        {
            Said::No(problem) => return Ok(tell_problem(&problem, self.server.json)),
            Said::Yes(checked) => checked,
        };
        let valid = checked.get("valid") == Some(&Value::Bool(true));
        if self.server.json {
            screen.line(&checked.to_string())?;
        } else if valid {
            screen.line(&screen.good("the code is right; the verification is approved"))?;
        } else {
            let reason = plain(text(&checked, "reason")).replace('_', " ");
            let status = plain(text(&checked, "status")).replace('_', " ");
            let left = checked.get("checks_left").and_then(Value::as_u64);
            let left = left
                .filter(|_| status == "pending")
                .map(|left| format!(", checks left: {left}"))
                .unwrap_or_default();
            screen.line(&screen.bad(&format!("not valid: {reason}; the verification is {status}{left}")))?;
        }
        Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
