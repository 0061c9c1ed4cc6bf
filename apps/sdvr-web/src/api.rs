//! Cameras for scripts: `/api/cameras`.

use std::sync::{Arc, PoisonError};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sdvr::Timestamp;
use serde::Serialize;

use crate::lookup::Refused;
use crate::messages::{CameraDescription, CameraFigures};
use crate::site::Site;

/// A camera by the names that `sdvr ls --json` has, and those of the page's protocol. The names are a promise.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    description: &'a CameraDescription,
    fps: f64,
    bytes: u64,
    age_s: Option<f64>,
    retransmitted: Option<u64>,
    #[serde(flatten)]
    figures: &'a CameraFigures,
}

pub(crate) async fn cameras(State(site): State<Arc<Site>>) -> Result<Response, Refused> {
    let text = tokio::task::spawn_blocking(move || list(&site)).await;
    let failed = |error: &dyn std::fmt::Display| {
        Refused::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    };
    let text = text.map_err(|error| failed(&error))?;
    let text = text.map_err(|error| failed(&error))?;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, text).into_response())
}

fn list(site: &Site) -> serde_json::Result<String> {
    let mut monitor = site.monitor.lock().unwrap_or_else(PoisonError::into_inner);
    let cameras = site.catalog.look(&mut monitor);
    drop(monitor);
    let rows: Vec<Row<'_>> = cameras
        .iter()
        .map(|known| {
            let age = |at| Timestamp::now().saturating_since(at).as_secs_f64();
            Row {
                description: &known.description,
                fps: (known.info.frames_per_second * 100.0).round() / 100.0,
                bytes: known.info.bytes,
                age_s: known
                    .info
                    .last_frame
                    .map(|at| (age(at) * 1000.0).round() / 1000.0),
                retransmitted: known.info.retransmitted,
                figures: &known.figures,
            }
        })
        .collect();
    serde_json::to_string(&rows)
}
