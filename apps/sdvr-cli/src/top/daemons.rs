//! What is told of a daemon in a line or two, and of the recorders beside it.

use std::path::Path;

use super::column::GAP;
use super::figures::{DaemonFigures, Look};
use super::recorders;
use super::text::{age, count, cut, decimal, printable};

/// The daemons, and what cannot be told of others, in lines of a width: at most so many.
pub(super) fn lines(look: &Look, width: usize, lines_most: usize) -> Vec<String> {
    let count = look.daemons.len() + look.problems.len();
    // One that is alone may have a second line.
    let each_most = if count == 1 { 2 } else { 1 };
    let several = look.daemons.len() > 1;
    let mut lines: Vec<String> = Vec::new();
    for daemon in &look.daemons {
        lines.extend(wrapped(&parts(daemon, several), width, each_most));
    }
    lines.extend(
        look.problems
            .iter()
            .map(|problem| cut(&printable(problem), width)),
    );
    if count == 0 {
        lines.push(cut(&none(), width));
    }
    lines.extend(look.recorders.iter().map(|it| recorders::line(it, width)));
    let count = count.saturating_add(look.recorders.len());
    if lines.len() > lines_most {
        lines.truncate(lines_most.saturating_sub(1));
        let more = count.saturating_sub(lines.len());
        // Of one that is alone the rest of its line is left out.
        if more > 0 {
            lines.push(cut(&format!("{more} more: see `sdvr ls --daemon`"), width));
        }
        lines.truncate(lines_most);
    }
    lines
}

fn none() -> String {
    let directory = std::env::var_os("SDVR_SHM_DIR").filter(|it| !it.is_empty());
    let searched = directory.map_or_else(String::new, |directory| {
        let directory = Path::new(&directory).display().to_string();
        format!(", in {}", printable(&directory))
    });
    format!("no daemon: waiting for one{searched} (sdvrd)")
}

/// The most important ones first.
fn parts(figures: &DaemonFigures, several: bool) -> Vec<String> {
    let daemon = &figures.daemon;
    let statistics = &daemon.statistics;
    let mut parts = vec![format!("sdvrd {}", statistics.process)];
    parts.push(if daemon.is_alive {
        format!("up {}", age(daemon.uptime))
    } else {
        "GONE, or it hangs".to_owned()
    });
    parts.push(counted(statistics.cameras_connected, "camera"));
    parts.push(counted(statistics.sessions, "session"));
    parts.push(format!("{} refused", count(statistics.refused)));
    parts.push(format!("{} memory", mebibytes(statistics.resident_bytes)));
    parts.push(format!("{}% cpu", decimal(figures.cpu_percent)));
    parts.push(format!(
        "{} of {} in rings",
        mebibytes(statistics.memory_used_bytes),
        mebibytes(statistics.memory_total_bytes)
    ));
    parts.push(format!("{} lost", count(statistics.frames_missing)));
    parts.push(format!(
        "{} resent",
        count(statistics.packets_retransmitted)
    ));
    if several {
        let directory = printable(&daemon.directory.to_string_lossy());
        parts.insert(1, directory);
    }
    parts
}

fn counted(number: u64, of: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {of}{plural}", count(number))
}

fn mebibytes(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes < 9999.95 {
        format!("{}M", decimal(mebibytes))
    } else {
        format!("{}G", decimal(mebibytes / 1024.0))
    }
}

/// As many parts as fit into so many lines, in their order.
fn wrapped(parts: &[String], width: usize, lines_most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        let fits = |line: &&mut String| line.len() + GAP.len() + part.len() <= width;
        if let Some(line) = lines.last_mut().filter(fits) {
            line.push_str(GAP);
            line.push_str(part);
        } else if lines.len() < lines_most {
            lines.push(cut(part, width));
        } else {
            break;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(parts: &[&str]) -> Vec<String> {
        parts.iter().map(|&part| part.to_owned()).collect()
    }

    #[test]
    fn parts_are_wrapped_and_those_without_room_left_out() {
        let parts = strings(&["sdvrd 1", "up 3h", "2 cameras", "7 sessions"]);
        assert_eq!(
            wrapped(&parts, 80, 1),
            ["sdvrd 1  up 3h  2 cameras  7 sessions"]
        );
        assert_eq!(
            wrapped(&parts, 25, 2),
            ["sdvrd 1  up 3h  2 cameras", "7 sessions"]
        );
        assert_eq!(wrapped(&parts, 24, 1), ["sdvrd 1  up 3h"]);
        assert_eq!(wrapped(&parts, 3, 1), ["sd~"]);
        assert_eq!(wrapped(&parts, 0, 1), [""]);
    }

    #[test]
    fn of_many_problems_it_is_said_how_many_more_there_are() {
        let look = Look {
            problems: (0..9)
                .map(|n| format!("/dev/shm/sdvr-{n}\x1b[2J: damaged"))
                .collect(),
            ..Look::default()
        };
        let lines = lines(&look, 60, 3);
        assert_eq!(
            lines,
            [
                "/dev/shm/sdvr-0?[2J: damaged",
                "/dev/shm/sdvr-1?[2J: damaged",
                "7 more: see `sdvr ls --daemon`"
            ]
        );
    }

    #[test]
    fn memory_is_told_in_few_characters() {
        assert_eq!(mebibytes(0), "0.00M");
        assert_eq!(mebibytes(12 << 20), "12.0M");
        assert_eq!(mebibytes(20 << 30), "20.0G");
        assert!(mebibytes(u64::MAX).len() < 8);
    }
}
