// Says to those who do not see the page what has changed: little, and only when nobody is interrupted by it.

const PAUSE_MS = 1_000;
/** How long a message can be seen. */
const SHOWN_MS = 5_000;
/** Of more changes at a time only the number is said. */
const MOST_NAMED = 3;

export class Announcer {
  #element;
  #message;
  #messageTimer = null;
  #said = [];
  #timer = null;
  #knowsAll = false;

  /** `element` is for those who do not see the page, `message` for those who do. */
  constructor(element, message) {
    this.#element = element;
    this.#message = message;
  }

  /** Says it, and shows it for a moment to those who see the page. */
  show(text) {
    this.say(text);
    this.#message.textContent = text;
    this.#message.hidden = false;
    clearTimeout(this.#messageTimer);
    this.#messageTimer = setTimeout(() => {
      this.#message.hidden = true;
    }, SHOWN_MS);
  }

  say(text) {
    this.#said.push(text);
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#element.textContent = this.#said.join(' ');
      this.#said = [];
    }, PAUSE_MS);
  }

  camerasChanged(came, changed, gone) {
    const otherState = changed.filter((camera) => camera.state !== camera.stateBefore);
    if (this.#knowsAll) {
      this.#sayOf(came, 'there', (camera) => `${camera.label} is there.`);
      this.#sayOf(otherState, 'in another state', (camera) => `${camera.label} is ${camera.state}.`);
      this.#sayOf(gone, 'gone', (camera) => `${camera.label} is gone.`);
    }
    this.#knowsAll = true;
  }

  #sayOf(cameras, what, sentence) {
    if (cameras.length > MOST_NAMED) {
      this.say(`${cameras.length} cameras are ${what}.`);
    } else {
      for (const camera of cameras) {
        this.say(sentence(camera));
      }
    }
  }
}
