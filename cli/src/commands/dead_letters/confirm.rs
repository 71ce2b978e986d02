//! A question before something that cannot be undone.

use std::io::{BufRead, IsTerminal};

use anyhow::anyhow;

use crate::exit::{Exit, Failure};
use crate::output;

/// Whether to go on. Who types `-y` has answered; where nobody can be asked, that is asked for.
pub(super) async fn confirm(yes: bool, question: &str) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        let message = anyhow!("{question} There is no terminal to ask on; -y says yes, --dry-run only looks");
        return Err(Failure::new(Exit::Failed, message));
    }
    output::note(&format!("{question} [y/N]"));
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let answer = answer.await??;
    let is_yes = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if !is_yes {
        output::note("nothing was done");
    }
    Ok(is_yes)
}
