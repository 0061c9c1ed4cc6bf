// Paints what is new on all screens, at most once for each picture that the display shows, and tells the server.
//
// Of frames that come faster the newest is painted. The server is told only after the browser has taken over what was painted: a page that falls
// behind has few frames under way, and no delay that grows.

export class Painter {
  #clock;
  #shown;
  #screens = new Set();
  #isAsked = false;
  #painted = [];
  #afterwards = new MessageChannel();

  constructor(clock, shown) {
    this.#clock = clock;
    this.#shown = shown;
    this.#afterwards.port1.onmessage = () => this.#finish();
  }

  get clock() {
    return this.#clock;
  }

  /** The screen has something new: its `paint()` is called, which gives the frame that it painted, or null. */
  request(screen) {
    this.#screens.add(screen);
    this.#ask();
  }

  /** The frame, and all that came before it of its camera, are not waited for any more. */
  giveUp(frame) {
    this.#shown.note(frame);
    this.#ask();
  }

  #ask() {
    if (!this.#isAsked) {
      this.#isAsked = true;
      requestAnimationFrame(() => this.#paint());
    }
  }

  #paint() {
    this.#isAsked = false;
    const screens = [...this.#screens];
    this.#screens.clear();
    for (const screen of screens) {
      const frame = screen.paint();
      if (frame) {
        this.#painted.push([screen, frame]);
      }
    }
    // A message comes after the browser has rendered the page with what was painted now.
    this.#afterwards.port2.postMessage(null);
  }

  #finish() {
    const paintedMicros = this.#clock.nowMicros();
    for (const [screen, frame] of this.#painted) {
      screen.wasPainted(frame, paintedMicros);
      this.#shown.note(frame);
    }
    this.#painted = [];
    this.#shown.say();
  }
}
