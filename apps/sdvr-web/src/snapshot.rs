//! The newest picture of a camera: `/snapshot/LABEL.jpg`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sdvr::{Camera, Error, Start};
use sdvr_image::{ImageKind, NoShot, Shot, Shots, stale_after};

use crate::catalog::Known;
use crate::lookup::{self, Refused};
use crate::site::Site;

/// How long a picture is waited for.
const WAIT_MOST: Duration = Duration::from_secs(5);
/// How often it is looked whether the server ends.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Pictures that are made at a time; each takes a thread and the memory of some pictures.
pub(crate) const MADE_MOST: usize = 8;

/// When the picture was captured, as a date, and of which frame it is.
const CAPTURED: HeaderName = HeaderName::from_static("x-sdvr-captured");
const FRAME: HeaderName = HeaderName::from_static("x-sdvr-frame");

pub(crate) async fn newest(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Query(query): Query<lookup::Query>,
) -> Result<Response, Refused> {
    let known = lookup::camera(&site, &name, ".jpg", &query).await?;
    let Ok(place) = Arc::clone(&site.snapshots).try_acquire_owned() else {
        return Err(Refused::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{MADE_MOST} pictures are being made; ask again when they are"),
        ));
    };
    let takes_stale = query.takes_stale();
    let work = move || {
        let _place = place;
        take(&site, &known, takes_stale)
    };
    let shot = tokio::task::spawn_blocking(work).await;
    let shot = shot.map_err(|_| {
        let text = "this camera's frames crash the server's decoder";
        Refused::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    })??;
    let captured = humantime::format_rfc3339_millis(shot.frame.captured_date());
    let headers = [
        (header::CONTENT_TYPE, "image/jpeg".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (CAPTURED, captured.to_string()),
        (FRAME, shot.frame.number().to_string()),
    ];
    Ok((headers, shot.image).into_response())
}

/// As [`sdvr_image`] has it: whole, and not stale unless that is wanted.
fn take(site: &Site, known: &Known, takes_stale: bool) -> Result<Shot, Refused> {
    let info = &known.info;
    let camera = Camera::open_in(&info.directory, &info.file_name(), Start::Oldest)?;
    let mut shots = Shots::new(camera, ImageKind::Jpeg);
    let deadline = Instant::now() + WAIT_MOST;
    let mut refused = "none came".to_owned();
    while !*site.ending.borrow() {
        let rest = deadline.saturating_duration_since(Instant::now());
        shots = shots.fitting(rest.min(LOOK_INTERVAL))?;
        match shots.next(rest.min(LOOK_INTERVAL)) {
            Ok(Some(shot)) => {
                let limit = stale_after(shots.camera().state(), shot.frame.format());
                let age = shot.frame.age();
                if takes_stale || limit.is_none_or(|limit| age <= limit) {
                    return Ok(shot);
                }
                refused = format!(
                    "the newest is {:.0} s old, and ?stale=ok takes it",
                    age.as_secs_f64()
                );
            }
            Ok(None) if rest.is_zero() => {
                return Err(Refused::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!(
                        "no good picture of {} in {} s: {refused}; the camera is {}",
                        info.label,
                        WAIT_MOST.as_secs(),
                        shots.camera().state()
                    ),
                ));
            }
            Ok(None) | Err(NoShot::Ended) => {}
            Err(NoShot::Damaged(why)) => refused = why,
            Err(NoShot::Camera(error)) => return Err(error.into()),
            Err(error) => {
                return Err(Refused::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    format!("there are no pictures of {}: {error}", info.label),
                ));
            }
        }
    }
    Err(Error::Ended.into())
}
