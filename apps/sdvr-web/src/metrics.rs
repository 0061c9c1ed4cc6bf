//! Figures for Prometheus, in its text format: `/metrics`.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::{Arc, PoisonError};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sdvr::{Daemon, StreamState, Timestamp};

use crate::catalog::Known;
use crate::lookup::Refused;
use crate::site::Site;

/// Of a daemon's figures those that go up and down. All others only go up as long as it runs.
const GAUGES: [&str; 6] = [
    "process",
    "busy_ms",
    "cameras_connected",
    "streams",
    "memory_used_bytes",
    "memory_total_bytes",
];

pub(crate) async fn all(State(site): State<Arc<Site>>) -> Result<Response, Refused> {
    let text = tokio::task::spawn_blocking(move || text(&site)).await;
    let text =
        text.map_err(|error| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let headers = [
        (
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        ),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, text).into_response())
}

fn text(site: &Site) -> String {
    let mut monitor = site.monitor.lock().unwrap_or_else(PoisonError::into_inner);
    let cameras = site.catalog.look(&mut monitor);
    drop(monitor);
    let mut page = Page::default();
    for camera in &cameras {
        tell_camera(&mut page, camera);
    }
    for daemon in Daemon::list() {
        tell_daemon(&mut page, &daemon);
    }
    let own = &site.counters;
    let none = Labels::default();
    for (name, help, figure) in [
        ("connections", "Connections that are open", &own.connections),
        ("sockets", "Pages that are open", &own.sockets),
        (
            "readers",
            "Cameras that are read, once for each kind of frames",
            &own.readers,
        ),
    ] {
        page.gauge(&format!("sdvr_web_{name}"), help, &none, figure.value());
    }
    for (name, help, figure) in [
        (
            "frames_packed",
            "Frames that were read and packed",
            &own.frames_packed,
        ),
        (
            "frames_sent",
            "Frames that were sent, once for each page",
            &own.frames_sent,
        ),
        (
            "frames_skipped",
            "Frames that a page had no room for",
            &own.frames_skipped,
        ),
        (
            "sent_bytes",
            "Bytes of frames that were sent",
            &own.bytes_sent,
        ),
    ] {
        page.counter(
            &format!("sdvr_web_{name}_total"),
            help,
            &none,
            figure.value(),
        );
    }
    page.finish()
}

#[expect(clippy::cast_precision_loss, reason = "seconds for display")]
fn tell_camera(page: &mut Page, known: &Known) {
    let (info, description) = (&known.info, &known.description);
    let labels = Labels::default()
        .with("label", &description.label)
        .with("stream", info.stream.0)
        .with("directory", &description.directory)
        .with(
            "fingerprint",
            description.fingerprint.as_deref().unwrap_or_default(),
        );
    let about = labels
        .clone()
        .with("format", &description.format)
        .with("width", description.width)
        .with("height", description.height)
        .with("link", description.link.as_deref().unwrap_or_default())
        .with("source", description.source.as_deref().unwrap_or_default());
    page.gauge(
        "sdvr_camera_info",
        "What a camera sends, and how it arrives",
        &about,
        1,
    );
    let is_live = u8::from(info.state == StreamState::Live);
    page.gauge(
        "sdvr_camera_live",
        "Whether a camera's link is up",
        &labels,
        is_live,
    );
    let figures = &known.figures;
    page.counter(
        "sdvr_camera_frames_total",
        "Frames that were published since the ring was made",
        &labels,
        info.frames,
    );
    page.counter(
        "sdvr_camera_lost_frames_total",
        "Frames that were captured and did not arrive",
        &labels,
        info.lost,
    );
    page.counter(
        "sdvr_camera_bytes_total",
        "Bytes of the frames that were published",
        &labels,
        info.bytes,
    );
    if let Some(retransmitted) = info.retransmitted {
        page.counter(
            "sdvr_camera_retransmitted_packets_total",
            "Packets that were lost on the link, sent again and arrived",
            &labels,
            retransmitted,
        );
    }
    page.gauge(
        "sdvr_camera_frames_per_second",
        "Frames a second, measured by the daemon",
        &labels,
        info.frames_per_second,
    );
    if let Some(at) = info.last_frame {
        let age = Timestamp::now().saturating_since(at).as_secs_f64();
        page.gauge(
            "sdvr_camera_last_frame_age_seconds",
            "How long ago the newest frame was published",
            &labels,
            age,
        );
    }
    for (quantile, latency_us) in [
        ("0.5", figures.latency_p50_us),
        ("0.99", figures.latency_p99_us),
    ] {
        if let Some(latency_us) = latency_us {
            let labels = labels.clone().with("quantile", quantile);
            page.gauge(
                "sdvr_camera_latency_seconds",
                "From capture to shared memory, of the frames since somebody asked last, 1000 at most",
                &labels,
                latency_us as f64 / 1e6,
            );
        }
    }
}

fn tell_daemon(page: &mut Page, daemon: &Daemon) {
    let labels = Labels::default().with("directory", daemon.directory.display());
    page.gauge(
        "sdvr_daemon_alive",
        "Whether the daemon has said within the last second that it lives",
        &labels,
        u8::from(daemon.is_alive),
    );
    page.gauge(
        "sdvr_daemon_uptime_seconds",
        "For how long the daemon has been running",
        &labels,
        daemon.uptime.as_secs_f64(),
    );
    for (name, figure) in daemon.statistics.named() {
        let help = "As sdvr ls --daemon --json has it";
        if name.ends_with("_ns") {
            // Times of a clock that only this host has.
        } else if GAUGES.contains(&name) {
            page.gauge(&format!("sdvr_daemon_{name}"), help, &labels, figure);
        } else {
            page.counter(&format!("sdvr_daemon_{name}_total"), help, &labels, figure);
        }
    }
}

/// The labels of a figure: what it is of.
#[derive(Clone, Debug, Default)]
struct Labels(String);

impl Labels {
    fn with(mut self, name: &str, value: impl Display) -> Self {
        let value = value.to_string();
        let escaped =
            value
                .chars()
                .fold(String::with_capacity(value.len()), |mut text, character| {
                    match character {
                        '\\' => text.push_str("\\\\"),
                        '"' => text.push_str("\\\""),
                        '\n' => text.push_str("\\n"),
                        other => text.push(other),
                    }
                    text
                });
        let comma = if self.0.is_empty() { "" } else { "," };
        // Writing to a text cannot fail.
        let _ = write!(self.0, "{comma}{name}=\"{escaped}\"");
        self
    }
}

/// A page of figures: all lines of a name have to be together, and none can be there twice, or nothing of the page is taken.
#[derive(Debug, Default)]
struct Page {
    families: BTreeMap<String, Family>,
}

#[derive(Debug)]
struct Family {
    help: String,
    kind: &'static str,
    /// By their labels.
    values: BTreeMap<String, String>,
}

impl Page {
    fn gauge(&mut self, name: &str, help: &str, labels: &Labels, value: impl Display) {
        self.add(name, "gauge", help, labels, &value);
    }

    fn counter(&mut self, name: &str, help: &str, labels: &Labels, value: impl Display) {
        self.add(name, "counter", help, labels, &value);
    }

    fn add(
        &mut self,
        name: &str,
        kind: &'static str,
        help: &str,
        labels: &Labels,
        value: &dyn Display,
    ) {
        let family = self
            .families
            .entry(name.to_owned())
            .or_insert_with(|| Family {
                help: help.to_owned(),
                kind,
                values: BTreeMap::new(),
            });
        let value = value.to_string();
        family.values.entry(labels.0.clone()).or_insert(value);
    }

    fn finish(self) -> String {
        self.families
            .into_iter()
            .map(|(name, family)| {
                let (help, kind) = (family.help, family.kind);
                let lines = family.values.iter().map(|(labels, value)| {
                    if labels.is_empty() {
                        format!("{name} {value}\n")
                    } else {
                        format!("{name}{{{labels}}} {value}\n")
                    }
                });
                let lines: String = lines.collect();
                format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_end_early_and_families_are_together() {
        let mut page = Page::default();
        let hostile = Labels::default().with("label", "a\"} 1\nsdvr_b \\");
        page.gauge("sdvr_a", "First", &hostile, 1);
        page.counter("sdvr_b_total", "Second", &Labels::default(), 2);
        page.gauge(
            "sdvr_a",
            "First",
            &Labels::default().with("x", 1).with("y", 2),
            0.5,
        );
        page.counter("sdvr_b_total", "Second", &Labels::default(), 3);
        assert_eq!(
            page.finish(),
            "# HELP sdvr_a First\n# TYPE sdvr_a gauge\nsdvr_a{label=\"a\\\"} 1\\nsdvr_b \\\\\"} 1\nsdvr_a{x=\"1\",y=\"2\"} 0.5\n\
             # HELP sdvr_b_total Second\n# TYPE sdvr_b_total counter\nsdvr_b_total 2\n"
        );
    }
}
