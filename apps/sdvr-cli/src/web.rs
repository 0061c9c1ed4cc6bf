//! `sdvr web`: cameras in a browser.

mod listen;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use sdvr_web::{Token, WebOptions};

use crate::output::{Interrupted, WrongUsage};

const HELP: &str = "\
A page with all cameras, live: http://127.0.0.1:8337/. Nothing is read, decoded or sent
of cameras that nobody looks at. On this host's own addresses (127.0.0.1, ::1) no password
is asked for; on all others the page is encrypted, and a token has to be known. It is made
at each start and printed with the address, unless one is given: by SDVR_WEB_TOKEN or
--token-file, which other users of this host do not see, or by --token, which they do (ps).
A browser that comes without it is asked for it: it stands in the address that was printed.

The certificate is made at the first start (~/.sdvr/web/certificate.pem). Browsers warn of
it, since nobody has vouched for it: compare its fingerprint with the one that is printed.

For scripts (with a token: -H 'Authorization: Bearer TOKEN', or ?token=TOKEN):
  /api/cameras           all cameras as JSON, by the names of sdvr ls --json
  /snapshot/LABEL.jpg    the newest picture; with ?stale=ok also that of a camera that is
                         silent or gone
  /stream/LABEL.mjpg     pictures for ever, as browsers, VLC and ffmpeg take them
  /metrics               figures for Prometheus
LABEL can be a fingerprint, too; ?directory=DIR says whose camera is meant if several
users have one of that label.

Examples:
  sdvr web                                      for a browser on this host
  sdvr web --listen 0.0.0.0:8337                for others: encrypted, with a token
  ssh -L 8337:127.0.0.1:8337 HOST sdvr web      for a browser here, by SSH
  curl -o now.jpg http://127.0.0.1:8337/snapshot/front-door.jpg

Exit codes: 0 ended by a signal, 1 failed, 2 wrong usage.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// Where to listen, a port alone on 127.0.0.1; any address but this host's own asks for a token and speaks TLS
    #[arg(long, value_name = "ADDRESS:PORT", default_value = listen::DEFAULT, value_parser = listen::parse)]
    listen: SocketAddr,
    /// What a browser has to say to be let in [default: made and printed where one is needed]
    #[arg(long, env = "SDVR_WEB_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Take the token from the first line of this file
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Keep the certificate in the directory web here [default: ~/.sdvr]
    #[arg(short = 'k', value_name = "DIR")]
    keys: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let interrupted = Interrupted::listen()?;
    let options = WebOptions {
        listen: arguments.listen,
        token: token(arguments)?,
        keys: arguments.keys.clone(),
    };
    sdvr_web::run(options, move || interrupted.is_set())
}

fn token(arguments: &Arguments) -> anyhow::Result<Option<Token>> {
    let (text, place) = match (&arguments.token, &arguments.token_file) {
        (Some(token), _) => (token.clone(), "--token or SDVR_WEB_TOKEN".to_owned()),
        (None, Some(file)) => {
            let content = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read the token in {}", file.display()))?;
            let line = content.lines().next().unwrap_or_default();
            (line.trim().to_owned(), file.display().to_string())
        }
        (None, None) => return Ok(None),
    };
    let wrong = |error| WrongUsage(format!("the token of {place} is none: {error}"));
    Ok(Some(Token::parse(&text).map_err(wrong)?))
}
