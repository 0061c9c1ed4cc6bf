// Tells the server what was shown: not of each frame, which would cost it more than sending them, but often enough that it has always room for more.

/** If something was not said for so long, it is said: whatever the server waits for, it does not wait longer. */
const UNSAID_MS = 500;

export class Shown {
  #send;
  /** The newest frame of each camera that was not said, as [camera, epoch, number]: it speaks for those before it. */
  #unsaid = new Map();
  /** Of each camera that is sent: its epoch, after how many frames something is said, and up to which all was said. */
  #streams = new Map();
  #timer = null;

  /** `send` is called with [camera, epoch, number] of frames that need not be waited for any more. */
  constructor(send) {
    this.#send = send;
  }

  /** What the server announces. Half of its window stays free for what is under way. */
  begin({ camera, epoch, window }) {
    this.#streams.set(camera, { epoch, every: Math.ceil(window / 2), said: -Infinity });
  }

  /** The connection is lost. */
  forget() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#unsaid.clear();
    this.#streams.clear();
  }

  note({ camera, epoch, number }) {
    const [, epochBefore, numberBefore] = this.#unsaid.get(camera) ?? [camera, -1, -1];
    if (epoch > epochBefore || (epoch === epochBefore && number > numberBefore)) {
      this.#unsaid.set(camera, [camera, epoch, number]);
    }
  }

  /** To be called when all that was painted at a time is noted: what is said for one camera is said for all. */
  say() {
    if (this.#unsaid.size === 0) {
      return;
    }
    if ([...this.#unsaid.values()].some((frame) => this.#isDue(frame))) {
      this.#sayAll();
    } else {
      this.#timer ??= setTimeout(() => this.#sayAll(), UNSAID_MS);
    }
  }

  /** Numbers count also frames that were not sent: then it is said earlier. */
  #isDue([camera, epoch, number]) {
    const stream = this.#streams.get(camera);
    return stream === undefined || stream.epoch !== epoch || number - stream.said >= stream.every;
  }

  #sayAll() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const frames = [...this.#unsaid.values()];
    this.#unsaid.clear();
    for (const [camera, epoch, number] of frames) {
      const stream = this.#streams.get(camera);
      if (stream?.epoch === epoch) {
        stream.said = number;
      }
    }
    this.#send(frames);
  }
}
