// H.264 in a `<video>`, for browsers (or pages) without `VideoDecoder`. It is kept at the newest frame.

import { Continuous } from './fragments.js';
import { mediaType } from './kinds.js';

/** A video that is so far behind jumps to the newest; one that is half as far behind runs faster. */
const JUMP_SECONDS = 0.5;
const HURRY_SECONDS = 0.15;
const HURRY_RATE = 1.25;
/** What lies so far behind is thrown away. */
const KEPT_SECONDS = 10;
/** Fragments that wait to be taken in: more than these, and they begin anew with a key frame. */
const MOST_WAITING = 60;

export class FragmentPlayer {
  #stream;
  #output;
  #clock;
  #url;
  #source;
  #buffer = null;
  #waiting = [];
  /** Frames in the buffer that have not been seen: { frame, start }. */
  #buffered = [];
  /** Where the newest of them ends, in seconds. */
  #end = 0;
  #times = new Continuous();
  #waitsForKey = true;
  #isClosed = false;
  #trimmedTo = 0;

  constructor(stream, output, clock) {
    this.#stream = stream;
    this.#output = output;
    this.#clock = clock;
    this.element = document.createElement('video');
    this.element.muted = true;
    this.element.playsInline = true;
    this.element.disableRemotePlayback = true;
    this.element.tabIndex = -1;
    this.element.setAttribute('aria-hidden', 'true');
    this.element.onerror = () => this.#failed();
    const Source = globalThis.ManagedMediaSource ?? MediaSource;
    this.#source = new Source();
    this.#source.onsourceopen = () => this.#opened();
    this.#url = URL.createObjectURL(this.#source);
    this.element.src = this.#url;
    this.#awaitPicture();
  }

  handleFrame(frame) {
    if (this.#waiting.length >= MOST_WAITING) {
      this.#waiting = [];
      this.#waitsForKey = true;
    }
    if (this.#waitsForKey && !frame.isKey) {
      this.#output.giveUp(frame);
      return;
    }
    this.#waitsForKey = false;
    this.#waiting.push(frame);
    this.#append();
  }

  /** The element was moved in the page, which stops a video. */
  resume() {
    this.element.play().catch(() => {});
  }

  close() {
    this.#isClosed = true;
    this.#waiting = [];
    this.#buffered = [];
    this.element.onerror = null;
    this.element.removeAttribute('src');
    this.element.load();
    URL.revokeObjectURL(this.#url);
  }

  #opened() {
    if (this.#isClosed) {
      return;
    }
    try {
      this.#buffer = this.#source.addSourceBuffer(mediaType(this.#stream.codec));
    } catch {
      this.#failed();
      return;
    }
    this.#buffer.onupdateend = () => this.#appended();
    this.#buffer.onerror = () => this.#failed();
    this.#append();
  }

  #append() {
    if (this.#isClosed || this.#buffer === null || this.#buffer.updating || this.#source.readyState !== 'open') {
      return;
    }
    const frame = this.#waiting.shift();
    if (frame === undefined) {
      this.#trim();
      return;
    }
    const place = this.#times.place(frame.payload);
    if (place !== null) {
      this.#buffered.push({ frame, start: place.start });
      this.#end = place.end;
    }
    try {
      this.#buffer.appendBuffer(frame.payload);
    } catch {
      this.#failed();
    }
  }

  #appended() {
    if (this.#isClosed) {
      return;
    }
    if (this.element.paused) {
      this.resume();
    }
    this.#chase();
    // While it is not seen yet, the decoder needs more than one frame to begin.
    const ahead = this.#end - this.element.currentTime;
    const newest = this.#buffered.at(-1);
    if (newest !== undefined && ahead < JUMP_SECONDS) {
      this.#output.giveUp(newest.frame);
    }
    this.#append();
  }

  /** Keeps what is seen near the newest frame. */
  #chase() {
    const ranges = this.element.buffered;
    if (ranges.length === 0) {
      return;
    }
    const [start, end] = [ranges.start(ranges.length - 1), ranges.end(ranges.length - 1)];
    const behind = end - this.element.currentTime;
    if (behind > JUMP_SECONDS || this.element.currentTime < start) {
      this.element.currentTime = Math.max(start, end - HURRY_SECONDS / 2);
    }
    this.element.playbackRate = behind > HURRY_SECONDS ? HURRY_RATE : 1;
  }

  #awaitPicture() {
    if (!('requestVideoFrameCallback' in this.element)) {
      return;
    }
    this.element.requestVideoFrameCallback((nowMs, { mediaTime, expectedDisplayTime }) => {
      if (this.#isClosed) {
        return;
      }
      this.#seen(mediaTime, Math.max(nowMs, expectedDisplayTime));
      this.#chase();
      this.#awaitPicture();
    });
  }

  #seen(mediaTime, atMs) {
    // The times of the media are rounded to microseconds.
    const middle = mediaTime + 0.001;
    const index = this.#buffered.findLastIndex(({ start }) => start <= middle);
    if (index >= 0) {
      const { frame } = this.#buffered[index];
      this.#output.painted(frame, this.#clock.atMicros(atMs));
      this.#output.giveUp(frame);
      this.#buffered.splice(0, index + 1);
    }
  }

  #trim() {
    const upTo = this.element.currentTime - KEPT_SECONDS;
    if (upTo > this.#trimmedTo + KEPT_SECONDS) {
      this.#trimmedTo = upTo;
      this.#buffer.remove(0, upTo);
    }
  }

  #failed() {
    if (!this.#isClosed) {
      this.#output.failed();
    }
  }
}
