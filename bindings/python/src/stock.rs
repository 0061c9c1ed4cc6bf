//! Memory and decoders that are used again: a picture of 1080p takes 6 MB, and to have the kernel find and clear them anew for every frame costs more
//! than to fill them.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use sdvr::{Coded, DecodeError, Decoder, DecoderOptions, Frame, Picture, Pixels, StreamFormat};

/// How many of each are kept. A program has one frame in its hands and one coming, or a few more.
const KEPT_MOST: usize = 4;

/// What one camera's frames share.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    frames: Mutex<Vec<Frame>>,
    bytes: Mutex<Vec<Vec<u8>>>,
    decoders: Mutex<Vec<OneDecoder>>,
}

#[derive(Debug)]
struct OneDecoder {
    stream: Arc<StreamDescription>,
    decoder: Decoder,
}

/// What a decoder must know of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StreamDescription {
    pub(crate) format: StreamFormat,
    pub(crate) extradata: Vec<u8>,
}

impl Stock {
    /// A frame whose memory can be used.
    pub(crate) fn take_frame(&self) -> Option<Frame> {
        take(&self.frames)
    }

    pub(crate) fn give_back_frame(&self, frame: Frame) {
        give_back(&self.frames, frame);
    }

    /// Memory for bytes.
    pub(crate) fn take_bytes(&self) -> Vec<u8> {
        take(&self.bytes).unwrap_or_default()
    }

    pub(crate) fn give_back_bytes(&self, bytes: Vec<u8>) {
        give_back(&self.bytes, bytes);
    }

    /// The picture of a frame that needs no other.
    pub(crate) fn decode(
        &self,
        stream: &Arc<StreamDescription>,
        coded: Coded<'_>,
        pixels: Pixels,
    ) -> Result<Picture, DecodeError> {
        let used_before = take(&self.decoders).filter(|used| used.stream == *stream);
        let mut decoder = match used_before {
            Some(used) => used.decoder,
            None => {
                let mut options = DecoderOptions::default();
                options.extradata.clone_from(&stream.extradata);
                Decoder::with_options(stream.format, &options)?
            }
        };
        let mut picture = Picture::reuse(self.take_bytes());
        let is_out = decoder.decode(coded, pixels, &mut picture);
        let stream = Arc::clone(stream);
        give_back(&self.decoders, OneDecoder { stream, decoder });
        match is_out {
            Ok(true) => return Ok(picture),
            Ok(false) => Err(DecodeError::AwaitsKeyFrame),
            Err(error) => Err(error),
        }
        .inspect_err(|_| self.give_back_bytes(picture.into_bytes()))
    }
}

/// No code panics while it holds one of these; and if it did, what is in them is still good.
fn take<T>(kept: &Mutex<Vec<T>>) -> Option<T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn give_back<T>(kept: &Mutex<Vec<T>>, thing: T) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() < KEPT_MOST {
        kept.push(thing);
    }
}

/// A frame's bytes, for as long as anybody shows them.
#[derive(Debug)]
pub(crate) struct CodedBytes {
    held: Held,
    stock: Arc<Stock>,
}

#[derive(Debug)]
enum Held {
    Frame(Frame),
    Bytes(Vec<u8>),
    /// Given back.
    Nothing,
}

impl CodedBytes {
    pub(crate) const fn of_frame(frame: Frame, stock: Arc<Stock>) -> Self {
        let held = Held::Frame(frame);
        Self { held, stock }
    }

    pub(crate) const fn of_bytes(bytes: Vec<u8>, stock: Arc<Stock>) -> Self {
        let held = Held::Bytes(bytes);
        Self { held, stock }
    }

    /// The frame whose bytes they are, if it is here.
    pub(crate) const fn frame(&self) -> Option<&Frame> {
        match &self.held {
            Held::Frame(frame) => Some(frame),
            Held::Bytes(_) | Held::Nothing => None,
        }
    }
}

impl Deref for CodedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.held {
            Held::Frame(frame) => frame.bytes(),
            Held::Bytes(bytes) => bytes,
            Held::Nothing => &[],
        }
    }
}

impl Drop for CodedBytes {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Frame(frame) => self.stock.give_back_frame(frame),
            Held::Bytes(bytes) => self.stock.give_back_bytes(bytes),
            Held::Nothing => {}
        }
    }
}

/// A picture's bytes, for as long as an array shows them. Whoever has the address may write to them, so nothing here reads them.
#[derive(Debug)]
pub(crate) struct PixelBytes {
    bytes: Vec<u8>,
    address: usize,
    stock: Arc<Stock>,
}

impl PixelBytes {
    pub(crate) fn new(mut bytes: Vec<u8>, stock: Arc<Stock>) -> Self {
        Self {
            address: bytes.as_mut_ptr().expose_provenance(),
            bytes,
            stock,
        }
    }

    pub(crate) const fn address(&self) -> usize {
        self.address
    }

    /// The bytes, taken out.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    pub(crate) const fn length(&self) -> usize {
        self.bytes.len()
    }
}

impl Drop for PixelBytes {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() > 0 {
            self.stock.give_back_bytes(bytes);
        }
    }
}
