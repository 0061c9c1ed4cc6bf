// What time it is at the server: asked by an exchange, of which the quickest answer says most.

const FIRST_INTERVAL_MS = 250;
const INTERVAL_MS = 5_000;
const FIRST_QUESTIONS = 6;
/** Of so many answers the quickest is believed: older ones say nothing of how the clocks have drifted. */
const ANSWERS_KEPT = 12;

export class ServerClock {
  #answers = [];
  #begun = 0;
  #timer = null;
  #asked = 0;
  #ask = null;

  /** Begins to ask; `ask` is called with the page's time, in milliseconds. */
  start(ask) {
    this.#ask = ask;
    this.forget();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#ask = null;
  }

  /** Believes no answer from before any longer: the page's clock may have stood still with the machine. */
  forget() {
    this.#answers = [];
    this.#asked = 0;
    clearTimeout(this.#timer);
    if (this.#ask) {
      this.#tick();
    }
  }

  #tick() {
    this.#asked += 1;
    this.#ask(performance.now());
    this.#timer = setTimeout(() => this.#tick(), this.#asked < FIRST_QUESTIONS ? FIRST_INTERVAL_MS : INTERVAL_MS);
  }

  /** The server's time when it began to talk, until there are better answers. */
  begin(serverMicros) {
    this.#begun = serverMicros - performance.now() * 1000;
  }

  handlePong(sentMs, serverMicros) {
    const receivedMs = performance.now();
    const roundTripMicros = (receivedMs - sentMs) * 1000;
    const middleMicros = (receivedMs + sentMs) * 500;
    this.#answers.push({ offset: serverMicros - middleMicros, error: roundTripMicros / 2 });
    if (this.#answers.length > ANSWERS_KEPT) {
      this.#answers.shift();
    }
  }

  #best() {
    return this.#answers.reduce((best, answer) => (answer.error < best.error ? answer : best), { offset: this.#begun, error: Infinity });
  }

  get offsetMicros() {
    return this.#best().offset;
  }

  get errorMicros() {
    return this.#best().error;
  }

  /** The server's time, in microseconds. */
  nowMicros() {
    return this.atMicros(performance.now());
  }

  /** The server's time at a time of the page's, in milliseconds. */
  atMicros(pageMs) {
    return Math.round(pageMs * 1000 + this.offsetMicros);
  }
}
