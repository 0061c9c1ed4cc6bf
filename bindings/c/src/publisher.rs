//! Streams that a program in C publishes.
#![expect(unsafe_code, reason = "exports functions under the names that C calls")]

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sdvr::{FrameFlags, FrameNumber, PublishOptions, Published, Publisher, StreamLabel, Timestamp};

use crate::arguments::{self, is_null, place};
use crate::facts::sdvr_format;
use crate::frame::{FRAMES, sdvr_frame};
use crate::handles::{Handles, alone, shared};
use crate::picture::{PICTURES, sdvr_picture};
use crate::status::{Failure, catch, sdvr_status};

/// `captured_ns` of what was captured, or thought of, when it is published.
pub const SDVR_CAPTURED_NOW: i64 = i64::MIN;
/// `flags` of a frame of which nothing is said: a key frame, but of H.264 and H.265, whose key frames have to be said.
pub const SDVR_FLAGS_USUAL: u32 = u32::MAX;

/// Publishes frames beside the cameras: other programs read them as they read a camera's. For one thread at a time.
#[derive(Debug)]
pub struct sdvr_publisher(());

static PUBLISHERS: Handles<Mutex<Publisher>, sdvr_publisher> = Handles::new(5);

/// What a stream is that a program publishes. All zeros but for the format are what most programs want.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sdvr_publish_options {
    /// What its frames look like.
    pub format: sdvr_format,
    /// What it carries: one of sdvr_kind.
    pub kind: u32,
    /// How many frames are kept for those who are slow; 0 for as many as are usual.
    pub frames: u32,
    /// How long frames are at most, as far as that is known; 0 for what the format tells. A longer one is no error.
    pub frame_most_bytes: u64,
    /// The label of the stream that it is made of, or null.
    pub source: *const c_char,
    /// What a decoder needs beforehand, at most 1024 bytes; null when extradata_bytes is 0.
    pub extradata: *const u8,
    /// How many they are.
    pub extradata_bytes: usize,
}

fn options(options: Option<&sdvr_publish_options>) -> Result<PublishOptions, Failure> {
    let options = options.ok_or_else(|| is_null("options"))?;
    let source = arguments::optional_text(options.source, "source")?;
    let source = source
        .map(|source| source.parse::<StreamLabel>())
        .transpose()
        .map_err(sdvr::PublishError::from)?;
    let extradata = arguments::bytes(options.extradata, options.extradata_bytes, "extradata")?;
    Ok(PublishOptions {
        kind: arguments::kind(options.kind)?,
        frame_most_bytes: (options.frame_most_bytes > 0).then_some(options.frame_most_bytes),
        frames: (options.frames > 0).then_some(options.frames),
        source,
        extradata: extradata.to_vec(),
        ..PublishOptions::new(arguments::format(&options.format)?)
    })
}

/// Begins to publish under a label, such as "door/people", where this user's programs search first, and stores what does in *out_publisher; give it back with
/// sdvr_publisher_close. SDVR_TAKEN when the label is a camera's, or another program publishes under it.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_publisher_create(
    label: *const c_char,
    options: Option<&sdvr_publish_options>,
    out_publisher: Option<&mut MaybeUninit<*mut sdvr_publisher>>,
) -> sdvr_status {
    catch(|| {
        let out_publisher = place(out_publisher, "out_publisher")?;
        let label = arguments::text(label, "label")?;
        let publisher = Publisher::create(&label, self::options(options)?)?;
        out_publisher.write(PUBLISHERS.keep(Mutex::new(publisher))?);
        Ok(())
    })
}

/// As sdvr_publisher_create, in a directory that is not the usual one. It is made if it is not there.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_publisher_create_in(
    directory: *const c_char,
    label: *const c_char,
    options: Option<&sdvr_publish_options>,
    out_publisher: Option<&mut MaybeUninit<*mut sdvr_publisher>>,
) -> sdvr_status {
    catch(|| {
        let out_publisher = place(out_publisher, "out_publisher")?;
        let directory = arguments::text(directory, "directory")?;
        let label = arguments::text(label, "label")?;
        let options = self::options(options)?;
        let publisher = Publisher::create_in(Path::new(&directory), &label, options)?;
        out_publisher.write(PUBLISHERS.keep(Mutex::new(publisher))?);
        Ok(())
    })
}

/// What is said of a frame that is made of nothing else.
fn facts(captured_ns: i64, flags: u32) -> Published {
    let published = if captured_ns == SDVR_CAPTURED_NOW {
        Published::now()
    } else {
        Published::at(Timestamp::from_nanoseconds(captured_ns))
    };
    Published {
        flags: (flags != SDVR_FLAGS_USUAL).then(|| FrameFlags::from_bits_truncate(flags)),
        ..published
    }
}

fn publish(
    publisher: *mut sdvr_publisher,
    bytes: *const u8,
    len_bytes: usize,
    about: &Published,
) -> Result<FrameNumber, Failure> {
    let bytes = arguments::bytes(bytes, len_bytes, "bytes")?;
    let publisher = PUBLISHERS.find(publisher)?;
    Ok(alone(&publisher)?.publish(bytes, about)?)
}

/// Publishes a frame that is made of nothing else, captured at captured_ns on CLOCK_BOOTTIME (or SDVR_CAPTURED_NOW), and stores in *out_number the number that it has.
/// flags are SDVR_FLAG_… or SDVR_FLAGS_USUAL. Copies it once, and waits for nobody.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_publisher_publish(
    publisher: *mut sdvr_publisher,
    bytes: *const u8,
    len_bytes: usize,
    captured_ns: i64,
    flags: u32,
    out_number: Option<&mut MaybeUninit<u64>>,
) -> sdvr_status {
    catch(|| {
        let out_number = place(out_number, "out_number")?;
        let number = publish(publisher, bytes, len_bytes, &facts(captured_ns, flags))?;
        out_number.write(number.0);
        Ok(())
    })
}

/// Publishes what was made of a frame: as captured when that was, and with its number, by which programs that read both find what belongs together.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_publisher_publish_from(
    publisher: *mut sdvr_publisher,
    frame: *const sdvr_frame,
    bytes: *const u8,
    len_bytes: usize,
) -> sdvr_status {
    catch(|| {
        let frame = FRAMES.find(frame)?;
        let about = Published::from(shared(&frame)?.frame()?);
        publish(publisher, bytes, len_bytes, &about).map(drop)
    })
}

/// As sdvr_publisher_publish_from, of what was made of a camera's picture. SDVR_EMPTY for a picture of sdvr_frame_decode: its frame says the same.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_publisher_publish_from_picture(
    publisher: *mut sdvr_publisher,
    picture: *const sdvr_picture,
    bytes: *const u8,
    len_bytes: usize,
) -> sdvr_status {
    catch(|| {
        let picture = PICTURES.find(picture)?;
        let about = Published::from(shared(&picture)?.frame()?);
        publish(publisher, bytes, len_bytes, &about).map(drop)
    })
}

/// Says that frames look different from now on: readers take those first that are there, and follow.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_publisher_set_format(
    publisher: *mut sdvr_publisher,
    format: Option<&sdvr_format>,
) -> sdvr_status {
    catch(|| {
        let format = arguments::format(format.ok_or_else(|| is_null("format"))?)?;
        let publisher = PUBLISHERS.find(publisher)?;
        Ok(alone(&publisher)?.set_format(format)?)
    })
}

/// Ends the stream, and returns when its readers have let go of its memory: mostly within milliseconds, after two seconds at most. Null is given back,
/// too, and nothing happens.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_publisher_close(publisher: *mut sdvr_publisher) -> sdvr_status {
    catch(|| {
        if let Some(publisher) = PUBLISHERS.take_back(publisher)? {
            let publisher = publisher.into_inner();
            publisher.unwrap_or_else(PoisonError::into_inner).close();
        }
        Ok(())
    })
}
