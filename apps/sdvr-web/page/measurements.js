// When the frames of a camera were captured and when they were painted.

const KEPT = 1_200;
/** What people are told is of the last seconds. */
const SUMMARY_MICROS = 2_000_000;

export class Measurements {
  #all = [];

  add({ number, capturedMicros }, paintedMicros, kind) {
    this.#all.push([number, capturedMicros, paintedMicros, kind]);
    if (this.#all.length > 2 * KEPT) {
      this.#all = this.#all.slice(-KEPT);
    }
  }

  /** [number, captured, painted, kind] of the last frames, oldest first; times in microseconds of the server's clock. */
  all() {
    return this.#all.slice(-KEPT);
  }

  /** When the newest was captured, in microseconds of the server's clock; null if there was none. */
  get lastCapturedMicros() {
    return this.#all.at(-1)?.[1] ?? null;
  }

  /** Of the last two seconds: how many frames were painted a second, and how late at the median; null if none was. */
  summary(nowMicros) {
    const latencies = [];
    for (let index = this.#all.length - 1; index >= 0; index -= 1) {
      const [, captured, painted] = this.#all[index];
      if (painted < nowMicros - SUMMARY_MICROS) {
        break;
      }
      latencies.push(painted - captured);
    }
    if (latencies.length === 0) {
      return null;
    }
    latencies.sort((one, other) => one - other);
    return {
      paintedPerSecond: (latencies.length * 1_000_000) / SUMMARY_MICROS,
      latencyMicros: latencies[latencies.length >> 1],
    };
  }
}
