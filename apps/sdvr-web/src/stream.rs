//! Pictures for ever, for programs that know nothing newer: `/stream/LABEL.mjpg`.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::sync::Notify;

use crate::lookup::{self, Refused};
use crate::messages::Kind;
use crate::readers::{Next, Position, Status, Watch, Watcher};
use crate::site::Site;

/// Between pictures; who reads them goes by their lengths.
const BOUNDARY: &str = "sdvr-picture";

pub(crate) async fn endless(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Query(query): Query<lookup::Query>,
) -> Result<Response, Refused> {
    let known = lookup::camera(&site, &name, ".mjpg", &query).await?;
    let news = Arc::new(Notify::new());
    let watch = site
        .readers
        .watch(&known, Kind::Jpeg, Watcher::Task(Arc::clone(&news)))
        .map_err(|error| {
            Refused::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("cannot start a thread: {error}"),
            )
        })?;
    let mut pictures = Pictures {
        site,
        watch,
        news,
        position: Position::default(),
    };
    // The first one decides whether there is a stream.
    let first = pictures.next().await?;
    let begin = VecDeque::from(first);
    let parts =
        futures_util::stream::unfold((pictures, begin), async |(mut pictures, mut ready)| {
            if ready.is_empty() {
                ready = VecDeque::from(pictures.next().await.ok()?);
            }
            let part = ready.pop_front()?;
            Some((Ok::<_, std::convert::Infallible>(part), (pictures, ready)))
        });
    let headers = [
        (
            header::CONTENT_TYPE,
            format!("multipart/x-mixed-replace; boundary={BOUNDARY}"),
        ),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, Body::from_stream(parts)).into_response())
}

/// A camera's newest pictures: asked for when the one before has been taken by the network.
struct Pictures {
    site: Arc<Site>,
    watch: Watch,
    news: Arc<Notify>,
    position: Position,
}

impl Pictures {
    /// The next one, with what is before and behind it.
    async fn next(&mut self) -> Result<[Bytes; 3], Refused> {
        loop {
            // What was handed to the network is not waited for.
            match self.watch.next(&mut self.position, |_| true) {
                Next::Frame(frame) => {
                    let counters = &self.site.counters;
                    counters
                        .frames_skipped
                        .add(std::mem::take(&mut self.position.skipped));
                    counters.frames_sent.add(1);
                    let image = frame.payload();
                    counters.bytes_sent.add(image.len() as u64);
                    let head = format!(
                        "--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
                        image.len()
                    );
                    return Ok([head.into(), image, Bytes::from_static(b"\r\n")]);
                }
                Next::NoRoom | Next::NoneYet => self.news.notified().await,
                Next::Over(Status::Trouble(why)) => {
                    return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, &*why));
                }
                Next::Over(_) => return Err(sdvr::Error::Ended.into()),
            }
        }
    }
}
