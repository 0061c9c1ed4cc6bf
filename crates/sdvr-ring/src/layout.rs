//! Where things are in a ring, and the description at its start. LAYOUT.md has the pictures.

use sdvr_frame::{
    Fingerprint, FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, PublicKey, StreamFormat,
    StreamId, StreamKind, StreamLabel, Timestamp,
};

use crate::sync::AtomicU64;

pub(crate) const WORD_BYTES: usize = 8;
pub(crate) const HEADER_BYTES: usize = 4096;
pub(crate) const DESCRIPTION_BYTES: usize = 2048;
pub(crate) const SLOT_BYTES: usize = 128;
pub(crate) const SLOT_WORDS: usize = SLOT_BYTES / WORD_BYTES;
/// Frames begin at multiples of this: a cache line.
pub(crate) const FRAME_ALIGNMENT: u64 = 64;

/// Where the words begin that change; the places below count from there.
pub(crate) const CONTROL_OFFSET: usize = 0x800;
/// Up to the futex words, which are not accessed as 64 bits.
pub(crate) const CONTROL_WORDS: usize = (FUTEX_OFFSETS[0] - CONTROL_OFFSET) / WORD_BYTES;
pub(crate) const STATE_WORD: usize = 0;
pub(crate) const LINK_WORD: usize = 0x40 / WORD_BYTES;
pub(crate) const LOST_WORD: usize = LINK_WORD + 1;
/// In the link's word: it arrives over nothing.
pub(crate) const NO_LINK: u64 = u64::MAX;
pub(crate) const BYTES_WORD: usize = LINK_WORD + 2;
pub(crate) const RATE_WORD: usize = LINK_WORD + 3;
/// One more than there were; 0: nobody can tell.
pub(crate) const RETRANSMITTED_WORD: usize = LINK_WORD + 4;
pub(crate) const RECLAIM_WORD: usize = 0x80 / WORD_BYTES;
pub(crate) const HEAD_WORD: usize = 0xc0 / WORD_BYTES;
pub(crate) const LAST_KEY_WORD: usize = HEAD_WORD + 1;
/// Byte offsets of the two futex words: for even and for odd frames.
pub(crate) const FUTEX_OFFSETS: [usize; 2] = [0x900, 0x940];

const MAGIC: u64 = u64::from_le_bytes(*b"SDVRRING");
const LAYOUT_VERSION: u32 = 1;
pub(crate) const EXTRADATA_MOST_BYTES: usize = 1024;
/// Of the description.
pub(crate) const FIRST_WORD: usize = 0x78 / WORD_BYTES;
const CAMERA_OFFSET: usize = 0x30;
/// Two bytes: the origin's number, and the length of the source's label.
const ORIGIN_OFFSET: usize = 0x6e;
const LABEL_OFFSET: usize = 0x80;
const SOURCE_OFFSET: usize = 0xc0;
const EXTRADATA_OFFSET: usize = 0x400;
/// No ring has more slots: 128 MiB of them.
const SLOTS_MOST: u64 = 1 << 20;
/// No ring has more data.
const DATA_MOST_BYTES: u64 = 1 << 40;
/// No frame is longer: what a reader may be made to allocate by a ring that lies.
pub const FRAME_MOST_BYTES: u64 = 256 << 20;

/// The parts of a ring that frames go through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a> {
    pub(crate) control: &'a [AtomicU64],
    pub(crate) slots: &'a [AtomicU64],
    pub(crate) data: &'a [AtomicU64],
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "this crate compiles for 64-bit hosts only"
)]
pub(crate) const fn usize_of(value: u64) -> usize {
    value as usize
}

/// The sizes of a ring, from which all its offsets follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) slots: u64,
    pub(crate) data_bytes: u64,
}

impl Geometry {
    /// Checks that both are powers of two and within bounds.
    pub(crate) fn new(slots: u64, data_bytes: u64) -> Option<Self> {
        let is_valid = slots.is_power_of_two()
            && data_bytes.is_power_of_two()
            && (2..=SLOTS_MOST).contains(&slots)
            && (FRAME_ALIGNMENT..=DATA_MOST_BYTES).contains(&data_bytes);
        is_valid.then_some(Self { slots, data_bytes })
    }

    /// Where the data begins.
    pub(crate) const fn data_offset(self) -> u64 {
        (HEADER_BYTES as u64 + self.slots * SLOT_BYTES as u64).next_multiple_of(HEADER_BYTES as u64)
    }

    /// The longest frame that fits.
    pub(crate) const fn frame_most_bytes(self) -> u64 {
        if self.data_bytes < FRAME_MOST_BYTES {
            self.data_bytes
        } else {
            FRAME_MOST_BYTES
        }
    }

    /// How long the file is.
    pub(crate) const fn file_bytes(self) -> u64 {
        self.data_offset() + self.data_bytes
    }
}

/// What is said of a frame in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameMeta {
    /// The source's number; a jump is a gap.
    pub number: FrameNumber,
    /// Facts about the frame.
    pub flags: FrameFlags,
    /// Frames between the one before of the stream and this one that were captured and did not arrive.
    pub missed: u64,
    /// When it was captured, on the source's clock.
    pub captured_at_source: Timestamp,
    /// When it was captured, on this host's clock.
    pub captured: Timestamp,
    /// By how much `captured` may be wrong, nanoseconds; `None` when nothing is known.
    pub clock_error_ns: Option<u32>,
    /// When its last byte had arrived.
    pub received: Timestamp,
    /// When it was published.
    pub published: Timestamp,
}

/// Where a ring's frames come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the camera that has this key, by way of a daemon.
    Camera(PublicKey),
    /// From a program of this host that makes them.
    Derived {
        /// The label of the stream that they are made of, if they are made of one.
        source: Option<StreamLabel>,
    },
}

impl Origin {
    /// Who the camera is; `None` for a derived stream, which is nobody's.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Self::Camera(key) => Some(key.fingerprint()),
            Self::Derived { .. } => None,
        }
    }

    /// Whether a program of this host makes the frames.
    #[must_use]
    pub const fn is_derived(&self) -> bool {
        matches!(self, Self::Derived { .. })
    }

    const fn number(&self) -> u8 {
        match self {
            Self::Camera(_) => 0,
            Self::Derived { .. } => 1,
        }
    }
}

/// What a ring says of its stream. Fixed for the ring's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingInfo {
    /// Where the frames come from.
    pub origin: Origin,
    /// The camera's label, or the derived stream's.
    pub label: StreamLabel,
    /// Which of the camera's streams. A derived one is alone under its label: 0.
    pub stream: StreamId,
    /// What it carries.
    pub kind: StreamKind,
    /// Which run of the source.
    pub instance: InstanceId,
    /// What its frames look like.
    pub format: StreamFormat,
    /// What a decoder needs beforehand.
    pub extradata: Vec<u8>,
    /// Frames it can hold at most.
    pub slots: u64,
    /// Bytes for frames.
    pub data_bytes: u64,
    /// The daemon's or publisher's process, as information only.
    pub writer_pid: u32,
    /// `CLOCK_REALTIME` minus `CLOCK_BOOTTIME` when the ring was made, nanoseconds: for showing times to people.
    pub realtime_offset_ns: i64,
    /// The ring's count of its first frame: what earlier rings of the same run had before. 0 for the first of them.
    pub first: u64,
}

impl RingInfo {
    /// The description as bytes. The caller has checked the sizes.
    pub(crate) fn to_bytes(&self, geometry: Geometry) -> [u8; DESCRIPTION_BYTES] {
        let mut bytes = [0; DESCRIPTION_BYTES];
        let label = self.label.as_str().as_bytes();
        let mut put = |offset: usize, value: &[u8]| {
            if let Some(place) = bytes.get_mut(offset..offset + value.len()) {
                place.copy_from_slice(value);
            }
        };
        put(0x00, &MAGIC.to_ne_bytes());
        put(0x08, &LAYOUT_VERSION.to_ne_bytes());
        put(
            0x0c,
            &u32::try_from(geometry.slots).unwrap_or(0).to_ne_bytes(),
        );
        put(0x10, &geometry.data_bytes.to_ne_bytes());
        put(0x18, &geometry.file_bytes().to_ne_bytes());
        put(0x20, &self.instance.0);
        if let Origin::Camera(key) = &self.origin {
            put(CAMERA_OFFSET, &key.0);
        }
        put(0x50, &self.stream.0.to_ne_bytes());
        put(
            0x52,
            &[self.kind.number(), u8::try_from(label.len()).unwrap_or(0)],
        );
        put(0x54, &self.format.fourcc.0);
        put(0x58, &self.format.width.to_ne_bytes());
        put(0x5c, &self.format.height.to_ne_bytes());
        put(0x60, &self.format.rate.numerator.to_ne_bytes());
        put(0x64, &self.format.rate.denominator.to_ne_bytes());
        put(0x68, &self.writer_pid.to_ne_bytes());
        put(
            0x6c,
            &u16::try_from(self.extradata.len())
                .unwrap_or(0)
                .to_ne_bytes(),
        );
        let source = match &self.origin {
            Origin::Derived {
                source: Some(source),
            } => source.as_str(),
            Origin::Derived { source: None } | Origin::Camera(_) => "",
        };
        put(
            ORIGIN_OFFSET,
            &[
                self.origin.number(),
                u8::try_from(source.len()).unwrap_or(0),
            ],
        );
        put(SOURCE_OFFSET, source.as_bytes());
        put(0x70, &self.realtime_offset_ns.to_ne_bytes());
        put(FIRST_WORD * WORD_BYTES, &self.first.to_ne_bytes());
        put(LABEL_OFFSET, label);
        put(EXTRADATA_OFFSET, &self.extradata);
        bytes
    }

    /// Parses a description out of a file of `file_bytes` bytes. Nothing in it is believed without a check.
    pub(crate) fn parse(
        bytes: &[u8; DESCRIPTION_BYTES],
        file_bytes: u64,
    ) -> Result<(Self, Geometry), &'static str> {
        let description = Description(bytes);
        if description.u64(0x00) != MAGIC {
            return Err("it is not a ring of SDVR");
        }
        if description.u32(0x08) != LAYOUT_VERSION {
            return Err("its layout is of another version of SDVR");
        }
        let geometry = Geometry::new(description.u32(0x0c).into(), description.u64(0x10))
            .ok_or("its sizes are impossible")?;
        if geometry.file_bytes() != file_bytes || description.u64(0x18) != file_bytes {
            return Err("its length does not fit its sizes");
        }
        let label = description.text(LABEL_OFFSET, usize::from(description.array::<1>(0x53)[0]))?;
        let label: StreamLabel = label.parse().map_err(|_| "its label is none")?;
        let origin = description.origin()?;
        if !origin.is_derived() && !label.may_be_a_camera_s() {
            return Err("its label is no camera's");
        }
        let extradata_bytes = usize::from(u16::from_ne_bytes(description.array(0x6c)));
        let extradata = bytes
            .get(EXTRADATA_OFFSET..EXTRADATA_OFFSET + extradata_bytes)
            .ok_or("its extradata is too long")?;
        let rate = FrameRate::new(description.u32(0x60), description.u32(0x64))
            .ok_or("its frame rate is impossible")?;
        let info = Self {
            origin,
            label,
            stream: StreamId(u16::from_ne_bytes(description.array(0x50))),
            kind: StreamKind::from_number(description.array::<1>(0x52)[0])
                .ok_or("its kind is unknown")?,
            instance: InstanceId(description.array(0x20)),
            format: StreamFormat {
                fourcc: FourCc(description.array(0x54)),
                width: description.u32(0x58),
                height: description.u32(0x5c),
                rate,
            },
            extradata: extradata.to_vec(),
            slots: geometry.slots,
            data_bytes: geometry.data_bytes,
            writer_pid: description.u32(0x68),
            realtime_offset_ns: description.u64(0x70).cast_signed(),
            first: description.u64(FIRST_WORD * WORD_BYTES),
        };
        Ok((info, geometry))
    }
}

/// Reads fixed places of a description.
struct Description<'a>(&'a [u8; DESCRIPTION_BYTES]);

impl<'a> Description<'a> {
    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        self.0
            .get(offset..)
            .and_then(|rest| rest.first_chunk())
            .copied()
            .unwrap_or([0; N])
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.array(offset))
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from_ne_bytes(self.array(offset))
    }

    fn origin(&self) -> Result<Origin, &'static str> {
        let [origin, source_bytes] = self.array(ORIGIN_OFFSET);
        match origin {
            0 => Ok(Origin::Camera(PublicKey(self.array(CAMERA_OFFSET)))),
            1 if source_bytes == 0 => Ok(Origin::Derived { source: None }),
            1 => {
                let source = self.text(SOURCE_OFFSET, source_bytes.into())?;
                let source = source
                    .parse()
                    .map_err(|_| "the label of its source is none")?;
                Ok(Origin::Derived {
                    source: Some(source),
                })
            }
            _ => Err("its origin is unknown"),
        }
    }

    fn text(&self, offset: usize, length: usize) -> Result<&'a str, &'static str> {
        let bytes = self
            .0
            .get(offset..offset + length)
            .ok_or("a text in it is too long")?;
        std::str::from_utf8(bytes).map_err(|_| "a text in it is none")
    }
}
