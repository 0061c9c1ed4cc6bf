//! Cameras that are nowhere.

use std::path::PathBuf;
use std::time::Duration;

use sdvr::{
    CameraFigures, CameraInfo, FourCc, FrameRate, InstanceId, Latency, Link, Origin, PublicKey,
    StreamFormat, StreamId, StreamState, Timestamp,
};

use super::column::{Column, Order};
use super::figures::Look;
use super::model::Model;

pub(super) const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000_000);

/// A camera that does well, by TCP.
pub(super) fn camera(label: &str) -> CameraFigures {
    let bytes = label.as_bytes();
    CameraFigures {
        camera: CameraInfo {
            label: label.parse().expect("it is a label"),
            directory: PathBuf::from("/dev/shm/sdvr-0"),
            origin: Origin::Camera(PublicKey([bytes.first().copied().unwrap_or(0); 32])),
            stream: StreamId(0),
            instance: InstanceId([1; 16]),
            format: StreamFormat {
                fourcc: FourCc::MJPG,
                width: 640,
                height: 480,
                rate: FrameRate::from_whole(30),
            },
            state: StreamState::Live,
            link: Some(Link::Tcp),
            frames_per_second: 30.0,
            frames: 100,
            lost: 0,
            retransmitted: None,
            bytes: 1_000_000,
            last_frame: Some(NOW),
        },
        frames_per_second: 30.0,
        bits_per_second: 2_400_000.0,
        latency: Some(Latency {
            p50: Duration::from_micros(1500),
            p99: Duration::from_micros(12_340),
            most: Duration::from_millis(20),
            frames: 30,
            clock_error: Duration::ZERO,
        }),
        newly_lost: 0,
    }
}

/// What is shown of cameras, sorted by label.
pub(super) fn model(cameras: Vec<CameraFigures>) -> Model {
    let order = Order {
        column: Column::Label,
        is_reversed: false,
    };
    let mut model = Model::new(order, "");
    model.take(Look {
        at: Some(NOW),
        cameras,
        ..Look::default()
    });
    model
}

/// The labels that are shown, in their order.
pub(super) fn labels(model: &Model) -> String {
    let labels: Vec<&str> = model.shown().map(|it| it.camera.label.as_str()).collect();
    labels.join(" ")
}
