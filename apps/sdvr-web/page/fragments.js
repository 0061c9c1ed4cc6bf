// Fragments of MP4 are given times that follow each other without a gap.
//
// The server's are those of the capture. Where frames are missing, or one is late, a browser would stop there and wait; what is live has to go on
// with what there is.

const DECODER = new TextDecoder('latin1');

/** The boxes in a range of bytes: [type, start of the content, end]. What is not whole is left out. */
function* boxes(view, start, end) {
  for (let at = start; at + 8 <= end; ) {
    const bytes = view.getUint32(at);
    if (bytes < 8 || at + bytes > end) {
      return;
    }
    const type = DECODER.decode(new Uint8Array(view.buffer, view.byteOffset + at + 4, 4));
    yield [type, at + 8, at + bytes];
    at += bytes;
  }
}

function find(view, path, start = 0, end = view.byteLength) {
  const [wanted, ...rest] = path;
  for (const [type, from, to] of boxes(view, start, end)) {
    if (type === wanted) {
      return rest.length === 0 ? [from, to] : find(view, rest, from, to);
    }
  }
  return null;
}

export class Continuous {
  #timescale = 0;
  #defaultDuration = 0;
  /** Where the next fragment begins, in the units of the initialisation segment. */
  #next = 0;

  /** Writes the time into `payload`, which may begin with an initialisation segment; gives when it begins and ends, in seconds, or null if it has no picture. */
  place(payload) {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    this.#readInitialisation(view);
    const time = find(view, ['moof', 'traf', 'tfdt']);
    if (time === null || this.#timescale === 0) {
      return null;
    }
    const [at] = time;
    // The server's are of 64 bits, always.
    if (view.getUint8(at) !== 1) {
      return null;
    }
    const start = this.#next;
    view.setBigUint64(at + 4, BigInt(start));
    this.#next = start + this.#durationOf(view);
    return { start: start / this.#timescale, end: this.#next / this.#timescale };
  }

  #readInitialisation(view) {
    const header = find(view, ['moov', 'trak', 'mdia', 'mdhd']);
    if (header !== null) {
      const [at] = header;
      this.#timescale = view.getUint32(at + (view.getUint8(at) === 1 ? 20 : 12));
    }
    const defaults = find(view, ['moov', 'mvex', 'trex']);
    if (defaults !== null) {
      this.#defaultDuration = view.getUint32(defaults[0] + 12);
    }
  }

  /** How long the fragment's frame is to be seen, as it says itself or the initialisation segment. */
  #durationOf(view) {
    const HAS_BASE = 0x1;
    const HAS_DESCRIPTION = 0x2;
    const HAS_DURATION = 0x8;
    const RUN_HAS_OFFSET = 0x1;
    const RUN_HAS_FLAGS = 0x4;
    const RUN_HAS_DURATION = 0x100;
    const run = find(view, ['moof', 'traf', 'trun']);
    if (run !== null) {
      const flags = view.getUint32(run[0]) & 0xffffff;
      if (flags & RUN_HAS_DURATION) {
        return view.getUint32(run[0] + 8 + (flags & RUN_HAS_OFFSET ? 4 : 0) + (flags & RUN_HAS_FLAGS ? 4 : 0));
      }
    }
    const header = find(view, ['moof', 'traf', 'tfhd']);
    if (header !== null) {
      const flags = view.getUint32(header[0]) & 0xffffff;
      if (flags & HAS_DURATION) {
        return view.getUint32(header[0] + 8 + (flags & HAS_BASE ? 8 : 0) + (flags & HAS_DESCRIPTION ? 4 : 0));
      }
    }
    return this.#defaultDuration || Math.round(this.#timescale / 30);
  }
}
