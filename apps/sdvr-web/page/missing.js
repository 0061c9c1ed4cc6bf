// What is seen where the address names a camera that is not there.

import { setText } from './elements.js';

/** The server may not have looked yet. */
const SHOWN_AFTER_MS = 700;

export class MissingView {
  #view;
  #heading;
  /** Of whom it is said, or will be. */
  #name = null;
  #timer = null;

  constructor({ missing, 'missing-heading': heading }) {
    this.#view = missing;
    this.#heading = heading;
  }

  /** Says that there is no camera of this name. */
  show(name) {
    if (name === this.#name) {
      return;
    }
    this.#name = name;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const text = `There is no camera ${name}`;
      setText(this.#heading, text);
      document.title = `${text} – SDVR`;
      this.#view.hidden = false;
      this.#heading.focus();
    }, SHOWN_AFTER_MS);
  }

  hide() {
    this.#name = null;
    clearTimeout(this.#timer);
    this.#view.hidden = true;
  }
}
