//! What the samples of a track are: `stsd` (ISO/IEC 14496-12, 8.5.2; 14496-15 for H.264 and H.265).

use sdvr_frame::FourCc;

use super::boxes::{boxes, find};
use crate::container::fields::Fields;
use crate::container::{Codec, ContainerError, Description};

/// Of a visual sample entry, up to its size, and from there to its boxes.
const BEFORE_SIZE_BYTES: usize = 24;
const BEHIND_SIZE_BYTES: usize = 50;
/// The object type of JPEG (14496-1, table 5).
const JPEG_OBJECT: u8 = 0x6c;
/// A file has one of these, or two or three where recordings were joined.
const ENTRIES_MOST: usize = 1024;

/// What a track's samples may be, and pixels across and down.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) descriptions: Vec<Description>,
    pub(super) size: (u32, u32),
}

pub(super) fn parse(stsd: &[u8]) -> Result<Entries, ContainerError> {
    let Some(entries) = stsd.get(8..) else {
        return Err(ContainerError::Malformed("its list of codecs is cut off"));
    };
    let mut descriptions: Vec<Description> = Vec::new();
    let mut size = None;
    for entry in boxes(entries).take(ENTRIES_MOST) {
        let (kind, body) = entry?;
        let (description, entry_size) = parse_entry(kind, body)?;
        if descriptions
            .first()
            .is_some_and(|first| first.codec != description.codec)
        {
            return Err(ContainerError::Malformed(
                "its video changes from one codec to another",
            ));
        }
        size.get_or_insert(entry_size);
        descriptions.push(description);
    }
    match size {
        Some(size) => Ok(Entries { descriptions, size }),
        None => Err(ContainerError::Malformed("its list of codecs is empty")),
    }
}

fn parse_entry(kind: [u8; 4], body: &[u8]) -> Result<(Description, (u32, u32)), ContainerError> {
    let mut fields = Fields::new(body);
    let size = (|| {
        fields.take(BEFORE_SIZE_BYTES)?;
        let size = (fields.u16()?.into(), fields.u16()?.into());
        fields.take(BEHIND_SIZE_BYTES)?;
        Some(size)
    })();
    let Some(size) = size else {
        return Err(ContainerError::Malformed("its list of codecs is cut off"));
    };
    let inner = fields.rest();
    let (codec, record) = match &kind {
        b"avc1" | b"avc3" | b"dva1" | b"dvav" => (Codec::H264, record(inner, b"avcC")?),
        b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => (Codec::H265, record(inner, b"hvcC")?),
        b"vp08" => (Codec::Vp8, &[][..]),
        b"vp09" => (Codec::Vp9, &[][..]),
        b"av01" => (Codec::Av1, record(inner, b"av1C")?),
        b"jpeg" | b"mjpg" | b"MJPG" => (Codec::Jpeg, &[][..]),
        b"mp4v" if find(inner, b"esds")?.and_then(object_type) == Some(JPEG_OBJECT) => {
            (Codec::Jpeg, &[][..])
        }
        b"encv" => return Err(ContainerError::Encrypted),
        _ => return Err(ContainerError::Codec(FourCc(kind).to_string())),
    };
    let description = Description {
        codec,
        record: record.to_vec(),
        stripped: Vec::new(),
    };
    Ok((description, size))
}

fn record<'a>(inner: &'a [u8], kind: &[u8; 4]) -> Result<&'a [u8], ContainerError> {
    find(inner, kind)?.ok_or(ContainerError::Malformed(
        "its list of codecs lacks the parameters of its own",
    ))
}

/// What an elementary stream is (14496-1, 7.2.6): of its descriptor (tag 3), the decoder's configuration (tag 4).
fn object_type(esds: &[u8]) -> Option<u8> {
    let mut fields = Fields::new(esds.get(4..)?);
    descriptor(&mut fields, 3)?;
    fields.u16()?;
    let flags = fields.u8()?;
    if flags & 0x80 != 0 {
        fields.u16()?;
    }
    if flags & 0x40 != 0 {
        let length = fields.u8()?;
        fields.take(length.into())?;
    }
    if flags & 0x20 != 0 {
        fields.u16()?;
    }
    descriptor(&mut fields, 4)?;
    fields.u8()
}

/// Steps over a descriptor's tag and its length, of up to four bytes.
fn descriptor(fields: &mut Fields<'_>, tag: u8) -> Option<()> {
    if fields.u8()? != tag {
        return None;
    }
    (0..4).find_map(|_| match fields.u8() {
        Some(byte) if byte & 0x80 != 0 => None,
        Some(_) => Some(Some(())),
        None => Some(None),
    })?
}
