//! `sdvr web`: cameras in a browser.

use std::net::SocketAddr;

use sdvr_web::WebOptions;

use crate::output::Interrupted;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen; any address but loopback's asks for a token and speaks TLS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8337")]
    listen: SocketAddr,
    /// What a browser has to say to be let in [default: made and printed where one is needed]
    #[arg(long)]
    token: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let interrupted = Interrupted::listen()?;
    let options = WebOptions {
        listen: arguments.listen,
        token: arguments.token.clone(),
    };
    sdvr_web::run(options, move || interrupted.is_set())
}
