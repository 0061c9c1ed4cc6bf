//! What is told of a recorder in a line: what is wrong first.

use sdvr_record::{RecorderStatus, RecordingState};

use super::column::GAP;
use super::text::{count, cut, printable};

/// A recorder in a line of this width.
pub(super) fn line(recorder: &RecorderStatus, width: usize) -> String {
    let mut parts = vec![format!("record {}", recorder.process)];
    let in_state = |state| {
        let cameras = recorder.cameras.iter();
        cameras.filter(|camera| camera.state == state).count()
    };
    let paused = in_state(RecordingState::Paused);
    if paused > 0 {
        parts.push(format!("{paused} PAUSED"));
    }
    let lost: u64 = recorder.cameras.iter().map(|camera| camera.lost).sum();
    parts.push(format!("{} lost", count(lost)));
    let states = [
        RecordingState::Recording,
        RecordingState::AwaitsEvent,
        RecordingState::AwaitsKey,
    ];
    for state in states {
        let cameras = in_state(state);
        if cameras > 0 || state == RecordingState::Recording {
            parts.push(format!("{cameras} {}", state.name()));
        }
    }
    let directory = recorder.directory.to_string_lossy();
    parts.push(format!("into {}", printable(&directory)));
    for camera in recorder.cameras.iter().filter(|camera| camera.lost > 0) {
        parts.push(format!(
            "{}: {} lost",
            printable(&camera.label),
            count(camera.lost)
        ));
    }
    cut(&parts.join(GAP), width)
}
