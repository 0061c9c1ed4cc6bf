//! Finds what is whole in a Matroska file of ours.

use std::io;

use super::super::scan::{Head, Input, SampleAt};
use super::super::ticks::Ticks;
use super::super::{Media, ScanError, Stretch};
use super::cluster::{self, Cluster, HEAD_BYTES};
use super::ebml::{elements, header};
use super::head::{self, INFO, Places, SEEK_HEAD, TAGS, TRACKS};

/// Whether a file begins as Matroska does.
pub(in super::super) fn is_one(start: &[u8]) -> bool {
    start.starts_with(&[0x1a, 0x45, 0xdf, 0xa3])
}

/// The same of fewer bytes than it takes.
pub(in super::super) fn can_be_one(start: &[u8]) -> bool {
    let count = start.len().min(4);
    is_one(start) || start == [0x1a, 0x45, 0xdf, 0xa3].get(..count).unwrap_or_default()
}

/// The head, which must be whole, and the clusters that are.
pub(in super::super) fn scan(input: &Input<'_>) -> Result<(Head, Media), ScanError> {
    let head = head(input)?;
    let mut media = Media {
        end: head.bytes.len() as u64,
        ..Media::default()
    };
    let mut ticks = Ticks::new(&head.about);
    while let Some(cluster) = cluster_at(input, media.end)? {
        ticks.went_on(cluster.time);
        super::went_on(
            &mut media,
            &ticks,
            cluster.bytes(),
            cluster.time,
            cluster.is_key,
        );
        media.duration = cluster.time.saturating_add(ticks.interval());
    }
    Ok((head, media))
}

fn head(input: &Input<'_>) -> Result<Head, ScanError> {
    let most = usize::try_from(head::MOST_BYTES).unwrap_or(usize::MAX);
    let mut bytes = input.read(0, most)?;
    let mut at = 0_usize;
    // The segment is entered, for what is in it is the rest of the file.
    for _ in 0..2 {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some((id, length, header_bytes)) = header(rest) else {
            return Err(short_or_wrong(&bytes));
        };
        at = at.saturating_add(header_bytes);
        if id != head::SEGMENT {
            let length = usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX);
            at = at.saturating_add(length);
        }
    }
    let body = bytes.get(at..).unwrap_or_default();
    let parts: Vec<_> = elements(body).take(4).collect();
    let expected = [SEEK_HEAD, INFO, TRACKS, TAGS];
    if parts.iter().zip(expected).any(|(part, id)| part.id != id) {
        return Err(ScanError::NotOurs);
    }
    let &[_, _, _, tags] = parts.as_slice() else {
        return Err(short_or_wrong(&bytes));
    };
    let about = head::parse(tags.body).ok_or(ScanError::NotOurs)?;
    let end = tags.body_at.saturating_add(tags.body.len());
    bytes.truncate(at.saturating_add(end));
    if Places::of(&bytes).is_none() {
        return Err(ScanError::NotOurs);
    }
    Ok(Head {
        about,
        bytes,
        restorer: None,
    })
}

/// A file that has less than the longest head may have been cut off in it, or its head is not what was written: then clusters are behind it.
fn short_or_wrong(bytes: &[u8]) -> ScanError {
    let has_cluster = bytes
        .windows(HEAD_BYTES)
        .any(|start| cluster::parse(start).is_some());
    if bytes.len() as u64 >= head::MOST_BYTES || has_cluster {
        ScanError::NotOurs
    } else {
        ScanError::NoHead
    }
}

/// Whether what is behind `offset` is the beginning of a cluster, all of which is as it must be, and which goes on behind the end of the file.
pub(in super::super) fn is_cut_off(input: &Input<'_>, offset: u64) -> io::Result<bool> {
    let head = input.read(offset, HEAD_BYTES)?;
    // It would have been found if it were whole.
    Ok(cluster::parse(&head).is_some() || head.len() < HEAD_BYTES && cluster::is_beginning(&head))
}

/// The cluster at this place; `None` where none is, or not all of it.
fn cluster_at(input: &Input<'_>, offset: u64) -> io::Result<Option<Cluster>> {
    let head = input.read(offset, HEAD_BYTES)?;
    let cluster = cluster::parse(&head);
    Ok(cluster.filter(|cluster| offset.saturating_add(cluster.bytes()) <= input.bytes()))
}

/// Where the samples of a stretch are.
pub(in super::super) fn samples(
    input: &Input<'_>,
    stretch: &Stretch,
    ticks: &Ticks,
) -> io::Result<Vec<SampleAt>> {
    let end = stretch.offset.saturating_add(stretch.bytes);
    let mut at = stretch.offset;
    let mut samples = Vec::new();
    while at < end {
        let Some(cluster) = cluster_at(input, at)? else {
            break;
        };
        samples.push(SampleAt {
            offset: at.saturating_add(HEAD_BYTES as u64),
            bytes: cluster.frame_bytes,
            captured: ticks.date(cluster.time),
            is_key: cluster.is_key,
        });
        at = at.saturating_add(cluster.bytes());
    }
    Ok(samples)
}
