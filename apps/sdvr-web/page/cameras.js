// What is known of the cameras, in the order in which people see them.

const inOrder = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });

/** A camera. Who wants to hear of it (`listen`) is told `state`, `figures`, `stream` or `trouble`. */
export class Camera {
  #listeners = new Set();
  #state = null;
  /** Whether `#state` is what the server says now. */
  #isKnown = false;
  /** What shows it, once somebody has looked. */
  screen = null;
  /** The last second's, while it is watched. */
  figures = null;
  /** Why it cannot be shown, as a text. */
  trouble = null;
  /** Whether another camera, in another directory, has the same label. */
  sharesLabel = false;

  constructor(said) {
    this.take(said);
  }

  /** Takes what the server says of it. */
  take(said) {
    this.number = said.camera;
    this.label = String(said.label);
    /** The state that it had until this was said. */
    this.stateBefore = this.#state;
    this.#state = String(said.state);
    this.#isKnown = true;
    this.format = text(said.format);
    this.width = said.width;
    this.height = said.height;
    this.link = text(said.link);
    this.fingerprint = text(said.fingerprint);
    this.source = text(said.source);
    this.directory = text(said.directory);
    /** By which it is known, also to a server that was started again. */
    this.key = keyOf(said);
  }

  /** What it is called in addresses: no label has an `@`. */
  get addressName() {
    return this.sharesLabel ? `${this.label}@${this.number}` : this.label;
  }

  /** `unknown` while there is no connection to the server. */
  get state() {
    return this.#isKnown ? this.#state : 'unknown';
  }

  get isLive() {
    return this.state === 'live';
  }

  /** How long ago the newest picture of it that was shown here was captured, in microseconds; null without one. */
  get pictureAgeMicros() {
    return this.screen?.pictureAgeMicros ?? null;
  }

  /** The connection is lost: what the server said of it is of the past. */
  becomeUnknown() {
    this.#isKnown = false;
    this.figures = null;
  }

  /** Nothing is known of it any more. */
  end() {
    this.#state = 'gone';
    this.#isKnown = true;
  }

  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(what) {
    for (const listener of this.#listeners) {
      listener(what, this);
    }
  }
}

/** Tells apart what is the same to people, such as `Door` and `door`. */
function compareTexts(one, other) {
  return one < other ? -1 : Number(one > other);
}

function text(value) {
  return value === null || value === undefined ? null : String(value);
}

/** What makes a camera itself: the same host may have streams of one label from several. */
function keyOf({ directory, label, stream, fingerprint }) {
  return JSON.stringify([directory, label, stream, fingerprint]);
}

/** All cameras. */
export class Cameras {
  #byKey = new Map();
  #byNumber = new Map();
  #sorted = [];
  #expectsAll = false;
  #areKnown = false;

  /** Whether the server has told all that there are, and there is a connection to it. */
  get areKnown() {
    return this.#areKnown;
  }

  /** The connection is lost: what is known is of the past. */
  becomeUnknown() {
    this.#areKnown = false;
    for (const camera of this.#sorted) {
      camera.becomeUnknown();
      camera.tell('state');
    }
  }

  /** What is said next is all that there is: a new connection. */
  expectAll() {
    this.#expectsAll = true;
  }

  /** In the order of their labels. */
  all() {
    return this.#sorted;
  }

  byNumber(number) {
    return this.#byNumber.get(number);
  }

  /** The first of this name. */
  byLabel(label) {
    return this.#sorted.find((camera) => camera.label === label);
  }

  /** The camera that is named so in addresses. */
  byAddressName(name) {
    return this.#sorted.find((camera) => camera.addressName === name) ?? this.byLabel(name);
  }

  /** The camera that people see before or after this one; the first comes after the last. */
  neighbour(camera, step) {
    const index = this.#sorted.indexOf(camera);
    const count = this.#sorted.length;
    return index < 0 ? this.#sorted[0] : this.#sorted[(index + step + count) % count];
  }

  /** Takes in what the server says; gives the cameras that came, changed, and are gone. */
  update(changedSaid, goneNumbers) {
    const came = [];
    const changed = [];
    this.#areKnown = true;
    const gone = goneNumbers.map((number) => this.#byNumber.get(number)).filter((camera) => camera !== undefined);
    if (this.#expectsAll) {
      this.#expectsAll = false;
      const there = new Set(changedSaid.map(keyOf));
      gone.push(...this.#sorted.filter((camera) => !there.has(camera.key)));
      this.#byNumber.clear();
    }
    for (const camera of gone) {
      camera.end();
      this.#byKey.delete(camera.key);
      if (this.#byNumber.get(camera.number) === camera) {
        this.#byNumber.delete(camera.number);
      }
    }
    for (const said of changedSaid) {
      const known = this.#byKey.get(keyOf(said)) ?? this.#byNumber.get(said.camera);
      if (known && known.key === keyOf(said)) {
        known.take(said);
        changed.push(known);
        this.#byNumber.set(known.number, known);
      } else {
        const camera = new Camera(said);
        this.#byKey.set(camera.key, camera);
        this.#byNumber.set(camera.number, camera);
        came.push(camera);
      }
    }
    if (came.length > 0 || gone.length > 0) {
      this.#sorted = [...this.#byKey.values()].sort((one, other) => inOrder.compare(one.label, other.label) || compareTexts(one.label, other.label) || one.number - other.number);
    }
    this.#findNamesakes();
    for (const camera of [...changed, ...gone]) {
      camera.tell('state');
    }
    return { came, changed, gone };
  }

  #findNamesakes() {
    for (const [index, camera] of this.#sorted.entries()) {
      const beside = [this.#sorted[index - 1], this.#sorted[index + 1]];
      const shares = beside.some((other) => other?.label === camera.label);
      if (shares !== camera.sharesLabel) {
        camera.sharesLabel = shares;
        camera.tell('state');
      }
    }
  }
}
