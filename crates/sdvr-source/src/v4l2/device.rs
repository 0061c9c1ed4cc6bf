//! The border to the kernel: calls on an open device, and its buffers as slices. The only file of this crate with `unsafe`.
//!
//! A slice of a buffer can be had only while the buffer is taken from the driver ([`Stream::dequeue`] to [`Stream::queue`]); the borrow
//! checker keeps `queue` from being called while one is alive. Whatever the driver says of lengths and indices is checked against what
//! was mapped.
#![expect(
    unsafe_code,
    reason = "ioctl and mmap, for which there is no safe wrapper: the kernel writes through pointers it is given"
)]

use std::ffi::c_void;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::ptr::{self, NonNull};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode};
use rustix::mm::{MapFlags, ProtFlags};

use super::abi::{self, Buffer, BufferType, ControlList, ControlValue, PLANES_MOST, Plane};
use super::filled::{Filled, PlaneFill};

/// An open device.
#[derive(Debug)]
pub(crate) struct Device {
    file: OwnedFd,
}

/// Structures of the kernel's interface that hold no address, so that the kernel writes into nothing else.
///
/// # Safety
///
/// Any bytes must be a value of the type; no call of [`abi`] that takes it may follow an address in it.
unsafe trait Flat {}

// SAFETY: integers only.
unsafe impl Flat for abi::Capability {}
// SAFETY: integers only.
unsafe impl Flat for abi::FormatEntry {}
// SAFETY: integers only.
unsafe impl Flat for abi::FrameSizeEntry {}
// SAFETY: integers only.
unsafe impl Flat for abi::FrameIntervalEntry {}
// SAFETY: integers only; addresses are in the formats of overlays, and `BufferType` is never one.
unsafe impl Flat for abi::Format {}
// SAFETY: integers only.
unsafe impl Flat for abi::StreamParameters {}
// SAFETY: integers only.
unsafe impl Flat for abi::RequestBuffers {}
// SAFETY: integers only.
unsafe impl Flat for abi::Event {}
// SAFETY: integers only.
unsafe impl Flat for abi::EventSubscription {}
// SAFETY: integers only.
unsafe impl Flat for abi::ControlEntry {}
// SAFETY: integers only.
unsafe impl Flat for abi::MenuEntry {}
// SAFETY: integers only.
unsafe impl Flat for abi::InputNumber {}
// SAFETY: integers only.
unsafe impl Flat for abi::Input {}
// SAFETY: integers only.
unsafe impl Flat for abi::DvTimings {}
// SAFETY: integers only.
unsafe impl Flat for abi::BufferType {}

/// One call: the number says what the kernel takes the pointer for.
struct Call {
    opcode: Opcode,
    argument: *mut c_void,
}

// SAFETY: whoever makes a `Call` sees to it that the pointer is what the number asks for; nothing is read from it here.
unsafe impl Ioctl for Call {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.argument
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> Result<(), Errno> {
        Ok(())
    }
}

/// What the numbers of [`abi`] and the types they were made of have in common.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident: $opcode:ident, $argument:ty;)*) => { $(
        $(#[$doc])*
        pub(crate) fn $name(&self, argument: &mut $argument) -> Result<(), Errno> {
            self.call(abi::$opcode, argument)
        }
    )* };
}

impl Device {
    /// Opens a device so that nothing on it waits.
    pub(crate) fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { file })
    }

    calls! {
        /// Who it is.
        query_capability: QUERYCAP, abi::Capability;
        /// The format of a number.
        enumerate_format: ENUM_FMT, abi::FormatEntry;
        /// A size of a format.
        enumerate_size: ENUM_FRAMESIZES, abi::FrameSizeEntry;
        /// A time between frames of a size.
        enumerate_interval: ENUM_FRAMEINTERVALS, abi::FrameIntervalEntry;
        /// The format in use.
        read_format: G_FMT, abi::Format;
        /// Asks for a format; the driver writes what it takes instead.
        set_format: S_FMT, abi::Format;
        /// The rate in use.
        read_parameters: G_PARM, abi::StreamParameters;
        /// Asks for a rate.
        set_parameters: S_PARM, abi::StreamParameters;
        /// Which input is in use.
        read_input: G_INPUT, abi::InputNumber;
        /// An input.
        enumerate_input: ENUMINPUT, abi::Input;
        /// What comes in.
        query_timings: QUERY_DV_TIMINGS, abi::DvTimings;
        /// Sets the device to what comes in.
        set_timings: S_DV_TIMINGS, abi::DvTimings;
        /// The next control.
        query_control: QUERY_EXT_CTRL, abi::ControlEntry;
        /// An entry of a control's menu.
        query_menu: QUERYMENU, abi::MenuEntry;
        /// Asks to be told of events.
        subscribe: SUBSCRIBE_EVENT, abi::EventSubscription;
        /// The next event.
        dequeue_event: DQEVENT, abi::Event;
    }

    fn call<T: Flat>(&self, opcode: Opcode, argument: &mut T) -> Result<(), Errno> {
        // SAFETY: the argument lives through the call, is as long as the number says (each number of `abi` is made from its type, and
        // `calls!` is what joins them), and being flat leads the kernel nowhere else.
        unsafe { self.call_raw(opcode, ptr::from_mut(argument).cast()) }
    }

    /// # Safety
    ///
    /// The pointer must be what the kernel takes for this number, valid for reading and writing, with all that it leads to.
    unsafe fn call_raw(&self, opcode: Opcode, argument: *mut c_void) -> Result<(), Errno> {
        loop {
            let call = Call { opcode, argument };
            // SAFETY: as the caller promises.
            match unsafe { rustix::ioctl::ioctl(&self.file, call) } {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }

    /// Reads (`G_EXT_CTRLS`) or writes the value of one control.
    pub(crate) fn transfer_control(
        &self,
        direction: ControlTransfer,
        value: &mut ControlValue,
    ) -> Result<(), Errno> {
        // A size would make the value an address.
        value.size = 0;
        let mut list = ControlList {
            count: 1,
            values: address(ptr::from_mut(value)),
            ..ControlList::default()
        };
        let opcode = match direction {
            ControlTransfer::Read => abi::G_EXT_CTRLS,
            ControlTransfer::Write => abi::S_EXT_CTRLS,
        };
        // SAFETY: the list says that one value is at its address, which is true through the call; the value's size of 0 tells the kernel
        // that there is no address in it (of controls that need one it then writes the size wanted, and fails).
        unsafe { self.call_raw(opcode, ptr::from_mut(&mut list).cast()) }
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Which way a control's value goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ControlTransfer {
    Read,
    Write,
}

fn address<T>(pointer: *mut T) -> abi::Long {
    pointer.expose_provenance() as abi::Long
}

/// Memory of the driver, mapped for reading.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

impl Mapping {
    fn new(device: &Device, offset: u64, length: usize) -> Result<Self, Errno> {
        // SAFETY: a new mapping at an address of the kernel's choice takes nothing away from anybody.
        let start = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                length,
                ProtFlags::READ,
                MapFlags::SHARED,
                &device.file,
                offset,
            )
        }?;
        let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
        Ok(Self { start, length })
    }

    /// # Safety
    ///
    /// Nobody may write into the mapping while the slice is alive.
    unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is that long and lasts as long as `self`, also when the device is gone; the caller keeps writers away.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `new` with this length, and no slice of it outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

// SAFETY: memory for reading that belongs to the process, not to a thread.
unsafe impl Send for Mapping {}

/// One buffer of the driver.
#[derive(Debug)]
struct Memory {
    planes: Vec<Mapping>,
    /// Taken from the driver, and not given back.
    is_taken: bool,
}

/// A device with buffers, capturing.
#[derive(Debug)]
pub(crate) struct Stream {
    buffers: Vec<Memory>,
    kind: BufferType,
    device: Device,
}

impl Stream {
    /// Lets the driver make `count` buffers (or what it thinks is right), maps them, and starts.
    pub(crate) fn start(device: Device, kind: BufferType, count: u32) -> Result<Self, Errno> {
        let mut request = abi::RequestBuffers {
            count,
            kind: kind.0,
            memory: abi::MEMORY_MMAP,
            ..Default::default()
        };
        device.call(abi::REQBUFS, &mut request)?;
        if request.count == 0 {
            return Err(Errno::NOMEM);
        }
        let mut stream = Self {
            buffers: Vec::new(),
            kind,
            device,
        };
        for index in 0..request.count {
            let planes = stream.map(index)?;
            stream.buffers.push(Memory {
                planes,
                is_taken: true,
            });
        }
        stream.give_all_and_go()?;
        Ok(stream)
    }

    /// Stops, and starts again with empty buffers: what was captured up to now is gone.
    pub(crate) fn restart(&mut self) -> Result<(), Errno> {
        let mut kind = self.kind;
        self.device.call(abi::STREAMOFF, &mut kind)?;
        // Stopping takes every buffer away from the driver.
        for memory in &mut self.buffers {
            memory.is_taken = true;
        }
        self.give_all_and_go()
    }

    fn give_all_and_go(&mut self) -> Result<(), Errno> {
        for index in (0_u32..).take(self.buffers.len()) {
            self.queue(index)?;
        }
        let mut kind = self.kind;
        self.device.call(abi::STREAMON, &mut kind)
    }

    pub(crate) const fn device(&self) -> &Device {
        &self.device
    }

    fn map(&self, index: u32) -> Result<Vec<Mapping>, Errno> {
        let (buffer, planes) = self.exchange(abi::QUERYBUF, index)?;
        if self.kind != BufferType::MULTI {
            let length = usize::try_from(buffer.length).map_err(|_| Errno::NOMEM)?;
            let offset = low_word(buffer.place);
            return Ok(vec![Mapping::new(&self.device, offset.into(), length)?]);
        }
        let count = usize::try_from(buffer.length).unwrap_or(usize::MAX);
        let planes = planes.get(..count).ok_or(Errno::PROTO)?;
        let maps = planes.iter().map(|plane| {
            let length = usize::try_from(plane.length).map_err(|_| Errno::NOMEM)?;
            Mapping::new(&self.device, low_word(plane.offset).into(), length)
        });
        maps.collect()
    }

    /// A call about a buffer: what the driver says of it and of its planes.
    fn exchange(
        &self,
        opcode: Opcode,
        index: u32,
    ) -> Result<(Buffer, [Plane; PLANES_MOST]), Errno> {
        let mut planes = [Plane::default(); PLANES_MOST];
        let mut buffer = Buffer {
            index,
            kind: self.kind.0,
            memory: abi::MEMORY_MMAP,
            ..Default::default()
        };
        if self.kind == BufferType::MULTI {
            buffer.place = address(planes.as_mut_ptr());
            buffer.length = u32::try_from(PLANES_MOST).unwrap_or(0);
        }
        // SAFETY: both structures live through the call, and the buffer says how many planes are at its address; of single-planar buffers
        // there is no address, for their memory is the driver's.
        unsafe {
            self.device
                .call_raw(opcode, ptr::from_mut(&mut buffer).cast())
        }?;
        Ok((buffer, planes))
    }

    /// Takes the oldest filled buffer from the driver; `None` when there is none.
    pub(crate) fn dequeue(&mut self) -> Result<Option<Filled>, Errno> {
        let (buffer, planes) = match self.exchange(abi::DQBUF, 0) {
            Ok(exchanged) => exchanged,
            Err(Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error),
        };
        // A buffer that we do not have, or that was not the driver's: what it says next cannot be trusted either.
        let memory = usize::try_from(buffer.index)
            .ok()
            .and_then(|index| self.buffers.get_mut(index))
            .filter(|memory| !memory.is_taken)
            .ok_or(Errno::PROTO)?;
        memory.is_taken = true;
        let mut fills = [PlaneFill::default(); PLANES_MOST];
        if self.kind == BufferType::MULTI {
            for (fill, plane) in fills.iter_mut().zip(&planes) {
                *fill = PlaneFill {
                    bytes_used: plane.bytes_used,
                    data_offset: plane.data_offset,
                };
            }
        } else if let Some(first) = fills.first_mut() {
            first.bytes_used = buffer.bytes_used;
        }
        // On 32-bit hosts, times are of 32 bits.
        #[allow(clippy::useless_conversion, reason = "not useless on 32-bit hosts")]
        Ok(Some(Filled {
            index: buffer.index,
            flags: buffer.flags,
            sequence: buffer.sequence,
            seconds: i64::from(buffer.seconds),
            microseconds: i64::from(buffer.microseconds),
            planes: fills,
        }))
    }

    /// Gives a buffer back to be filled. One that is not ours is left alone.
    pub(crate) fn queue(&mut self, index: u32) -> Result<(), Errno> {
        if !self.memory(index).is_some_and(|memory| memory.is_taken) {
            return Ok(());
        }
        self.exchange(abi::QBUF, index)?;
        if let Some(memory) = usize::try_from(index)
            .ok()
            .and_then(|index| self.buffers.get_mut(index))
        {
            memory.is_taken = false;
        }
        Ok(())
    }

    fn memory(&self, index: u32) -> Option<&Memory> {
        self.buffers.get(usize::try_from(index).ok()?)
    }

    /// How many planes the buffers have.
    pub(crate) fn plane_count(&self) -> usize {
        self.buffers.first().map_or(0, |memory| memory.planes.len())
    }

    /// How long the memory of a plane is.
    pub(crate) fn plane_length(&self, index: u32, plane: usize) -> Option<usize> {
        Some(self.memory(index)?.planes.get(plane)?.length)
    }

    /// Bytes of a plane of a buffer that is ours; `None` when it is the driver's, or they are not all inside.
    pub(crate) fn bytes(&self, index: u32, plane: usize, range: Range<usize>) -> Option<&[u8]> {
        let memory = self.memory(index).filter(|memory| memory.is_taken)?;
        let mapping = memory.planes.get(plane)?;
        // SAFETY: the driver fills a buffer only between `queue` and `dequeue`, this one is taken, and `queue` needs `&mut self`.
        let bytes = unsafe { mapping.bytes() };
        bytes.get(range)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut kind = self.kind;
        // Of a device that is gone, there is nothing to stop.
        let _ = self.device.call(abi::STREAMOFF, &mut kind);
    }
}

/// The 32-bit member of a union with a `long`.
fn low_word(union: abi::Long) -> u32 {
    let mut bytes = [0; 4];
    for (to, from) in bytes.iter_mut().zip(union.to_ne_bytes()) {
        *to = from;
    }
    u32::from_ne_bytes(bytes)
}
