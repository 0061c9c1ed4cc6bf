// One camera in the mosaic: a link to its large view.

import { element, setText } from './elements.js';
import { pictureAge } from './figures.js';
import { addressOf } from './router.js';

/** A label of more letters keeps so many at its end, whatever the room. */
const LONG_LABEL = 16;
const LABEL_END = 8;

export class Tile {
  #camera;
  #watching;
  #picture = element('div', 'tile-picture');
  /** The label for those who do not see the page: of the two parts, a screen reader would make two words. */
  #name = element('span', 'only-read');
  #label = element('span', 'tile-label');
  #labelStart = element('span', 'tile-label-start');
  #labelEnd = element('span', 'tile-label-end');
  #state = element('span', 'state');
  #rate = element('span', 'tile-rate');
  #notice = element('span', 'notice');
  #age = element('span', 'age');
  #stopListening;

  constructor(camera, watching) {
    this.#camera = camera;
    this.#watching = watching;
    this.link = element('a', 'tile-link', this.#picture, element('span', 'tile-caption', this.#name, this.#label, this.#rate, this.#state));
    this.#label.append(this.#labelStart, this.#labelEnd);
    this.#label.setAttribute('aria-hidden', 'true');
    this.#rate.setAttribute('aria-hidden', 'true');
    this.#picture.append(this.#notice, this.#age);
    this.element = element('li', 'tile', this.link);
    this.#stopListening = camera.listen(() => this.#update());
    this.#update();
  }

  get camera() {
    return this.#camera;
  }

  /** The tile came into sight, or is out of it. */
  setSeen(isSeen) {
    if (isSeen) {
      this.placeScreen();
      this.#watching.want(this.#camera, 'mosaic');
    } else {
      this.#watching.leave(this.#camera, 'mosaic');
    }
  }

  /** Takes the camera's screen back from the large view. */
  placeScreen() {
    const screen = this.#watching.screenOf(this.#camera);
    if (screen.element.parentElement !== this.#picture) {
      this.#picture.prepend(screen.element);
      screen.moved();
    }
  }

  /** Whether the words of a search are all found in what is seen of it. */
  matches(words) {
    const seen = `${this.#camera.label} ${this.#camera.state} ${this.#camera.format ?? ''}`.toLowerCase();
    return words.every((word) => seen.includes(word));
  }

  /** How old the picture is changes by itself. */
  updateAge() {
    const age = pictureAge(this.#camera);
    setText(this.#age, age);
    this.#age.hidden = age === '';
  }

  remove() {
    this.#stopListening();
    this.element.remove();
  }

  #update() {
    const { label, state, trouble, figures } = this.#camera;
    this.element.dataset.label = label;
    this.element.dataset.state = state;
    this.link.href = addressOf(this.#camera);
    this.link.title = trouble === null ? label : `${label}: ${trouble}`;
    setText(this.#name, label);
    const [start, end] = splitLabel(label);
    setText(this.#labelStart, start);
    setText(this.#labelEnd, end);
    setText(this.#state, state);
    this.#state.dataset.state = state;
    setText(this.#rate, figures && this.#camera.isLive ? `${Math.round(figures.frames_per_second)}/s` : '');
    setText(this.#notice, trouble ?? '');
    this.#notice.hidden = trouble === null;
    this.updateAge();
  }
}

/** Where there is little room, a long label loses its middle: what tells cameras apart is often at the end. */
function splitLabel(label) {
  const letters = [...label];
  const endLength = letters.length > LONG_LABEL ? LABEL_END : 0;
  const startLength = letters.length - endLength;
  return [letters.slice(0, startLength).join(''), letters.slice(startLength).join('')];
}
