//! `millstream dev`: a broker and every stage of every pipeline in this process, until Ctrl-C.

use crate::config_file::ConfigFile;
use crate::exit::{Exit, Failure, Outcome};
use crate::local::Local;
use crate::{output, signals};

pub(crate) async fn run(file: ConfigFile) -> Outcome {
    let pipelines: Vec<String> = file.config.pipelines.keys().cloned().collect();
    if pipelines.is_empty() {
        let message = format!(
            "{} declares no pipeline under [pipelines]; there is nothing to run",
            file.path.display()
        );
        return Err(Failure::new(Exit::Config, anyhow::anyhow!(message)));
    }
    let stop = signals::stop_token();
    let mut local = Local::start(file.config, &pipelines).await?;
    let brokers = local.broker.brokers();
    output::line(brokers)?;
    let pipeline = &pipelines[0];
    output::note(&format!(
        "The development broker listens on {brokers} (the line on stdout). Pipelines: {all}.\n\
         It keeps 5 MiB per partition and forgets everything when it ends: not for production.\n\
         Try it from another terminal:\n\
         \n    MILLSTREAM__KAFKA__BROKERS={brokers} millstream submit {pipeline} FILE --wait\n\
         \nCtrl-C ends it.",
        all = pipelines.join(", "),
    ));
    tokio::select! {
        () = stop.cancelled() => {}
        failure = local.worker_ended() => return Err(failure),
    }
    local.stop().await?;
    Ok(Exit::Done)
}
