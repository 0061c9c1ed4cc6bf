// Frames as the camera sent them, through the browser's own decoder.

/** A decoder that has so many frames before it does not keep up: it begins anew with the next key frame. */
const MOST_QUEUED = 12;
/** After so many errors without a picture between them, this browser cannot decode this camera. */
const MOST_ERRORS = 3;
/** By so many frames a picture may be seen after one that was decoded later, in every codec. */
const MOST_REORDERED = 16;
/** After so many frames it is looked whether as good as all gave a picture. */
const JUDGED_AFTER = 20;
const LEAST_DECODED = 0.8;
/** Between frames, in the decoder's time, which only tells them apart: the camera's own may stand still or jump. */
const TICK = 1_000;

export class CodecDecoder {
  #stream;
  #output;
  #decoder = null;
  #waitsForKey = true;
  #errors = 0;
  /** Whether pictures are to come at once, which decoders do by leaving out those that are seen in another order than they are decoded. */
  #isHurried = true;
  #submitted = 0;
  #decodedCount = 0;
  #nextTimestamp = 0;
  /** Frames whose picture has not come, by the timestamp under which they were decoded. */
  #underWay = new Map();

  constructor(stream, output) {
    this.#stream = stream;
    this.#output = output;
  }

  handleFrame(frame) {
    if (this.#decoder !== null && this.#decoder.decodeQueueSize >= MOST_QUEUED) {
      this.#end();
    }
    if (frame.isKey && this.#leavesOut()) {
      this.#isHurried = false;
      this.#end();
    }
    if (this.#waitsForKey && !frame.isKey) {
      this.#output.giveUp(frame);
      return;
    }
    try {
      this.#decoder ??= this.#makeDecoder();
      const timestamp = this.#nextTimestamp;
      this.#nextTimestamp += TICK;
      this.#underWay.set(timestamp, frame);
      this.#decoder.decode(new EncodedVideoChunk({ type: frame.isKey ? 'key' : 'delta', timestamp, data: frame.payload }));
      this.#submitted += 1;
      this.#waitsForKey = false;
    } catch {
      this.#failed();
    }
  }

  close() {
    this.#end();
  }

  #makeDecoder() {
    const decoder = new VideoDecoder({
      output: (picture) => this.#decoded(decoder, picture),
      error: () => {
        if (decoder === this.#decoder) {
          this.#failed();
        }
      },
    });
    // No sizes: they are in the stream, and may change with a key frame.
    decoder.configure({ codec: this.#stream.codec, optimizeForLatency: this.#isHurried });
    return decoder;
  }

  #decoded(decoder, picture) {
    const frame = this.#underWay.get(picture.timestamp);
    if (decoder !== this.#decoder || frame === undefined) {
      picture.close();
      return;
    }
    this.#errors = 0;
    this.#decodedCount += 1;
    this.#underWay.delete(picture.timestamp);
    // Those long before it that gave no picture will give none; pictures of frames that are decoded before others may be seen after them.
    for (const timestamp of this.#underWay.keys()) {
      if (timestamp < picture.timestamp - MOST_REORDERED * TICK) {
        this.#underWay.delete(timestamp);
      }
    }
    this.#output.picture({
      source: picture,
      width: picture.displayWidth,
      height: picture.displayHeight,
      close: () => picture.close(),
      frame,
    });
  }

  /** What a decoder does not understand: it begins anew with the next key frame. */
  #failed() {
    const last = [...this.#underWay.values()].at(-1);
    this.#end();
    this.#errors += 1;
    if (this.#errors >= MOST_ERRORS) {
      this.#output.failed();
    } else if (last !== undefined) {
      this.#output.giveUp(last);
    }
  }

  /** Whether fewer pictures come than frames, as of a stream with B-frames: then all of them, a little later, are better. */
  #leavesOut() {
    return this.#isHurried && this.#submitted >= JUDGED_AFTER && this.#decodedCount < this.#submitted * LEAST_DECODED;
  }

  #end() {
    this.#submitted = 0;
    this.#decodedCount = 0;
    const decoder = this.#decoder;
    this.#decoder = null;
    this.#waitsForKey = true;
    this.#underWay.clear();
    if (decoder !== null && decoder.state !== 'closed') {
      decoder.close();
    }
  }
}
