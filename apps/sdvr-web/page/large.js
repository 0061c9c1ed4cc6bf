// One camera, large, with its figures.

import { element, setText } from './elements.js';
import { describe, pictureAge } from './figures.js';
import { addressOf } from './router.js';

const FIGURES_INTERVAL_MS = 1_000;
/** Of a label, so much is in the name of a file. */
const MOST_OF_LABEL = 128;
/** Figures that need a line of their own where there is little room. */
const LONG = new Set(['Identity', 'Directory']);

export class LargeView {
  #cameras;
  #watching;
  #announcer;
  #view;
  #mosaicView;
  #parts;
  #camera = null;
  #stopListening = () => {};
  #timer = null;
  #rows = new Map();
  /** Whether the mosaic is what the browser goes back to. */
  #cameFromMosaic = false;

  constructor({ cameras, watching, announcer, elements }) {
    this.#cameras = cameras;
    this.#watching = watching;
    this.#announcer = announcer;
    this.#view = elements.large;
    this.#mosaicView = elements['mosaic-view'];
    const part = (name) => this.#view.querySelector(`[data-part="${name}"]`);
    this.#parts = Object.fromEntries(
      ['close', 'label', 'state', 'before', 'after', 'snapshot', 'full-screen', 'stage', 'notice', 'age', 'figures'].map((name) => [name, part(name)]),
    );
    this.#parts.close.addEventListener('click', () => this.#leave());
    this.#parts.before.addEventListener('click', () => this.#goTo(-1));
    this.#parts.after.addEventListener('click', () => this.#goTo(1));
    this.#parts.snapshot.addEventListener('click', () => this.#snapshot());
    this.#parts['full-screen'].hidden = !document.fullscreenEnabled;
    this.#parts['full-screen'].addEventListener('click', () => this.#fullScreen());
    document.addEventListener('keydown', (event) => this.#key(event));
  }

  show(camera) {
    if (camera === this.#camera) {
      return;
    }
    const before = this.#camera;
    this.#release();
    this.#cameFromMosaic ||= before === null && !this.#mosaicView.hidden && document.activeElement !== document.body;
    this.#camera = camera;
    this.#view.hidden = false;
    this.#mosaicView.hidden = true;
    const screen = this.#watching.screenOf(camera);
    this.#parts.stage.prepend(screen.element);
    screen.moved();
    this.#watching.want(camera, 'large');
    this.#stopListening = camera.listen(() => this.#update());
    this.#timer = setInterval(() => this.#update(), FIGURES_INTERVAL_MS);
    document.title = `${camera.label} – SDVR`;
    this.#update();
    if (before === null) {
      this.#parts.label.focus();
      scrollTo(0, 0);
    } else {
      this.#announcer.say(`${camera.label}, ${camera.state}.`);
    }
  }

  /** Makes room for something else; gives the camera that was shown, or null. */
  hide() {
    const before = this.#camera;
    if (before !== null) {
      this.#release();
      this.#camera = null;
      this.#cameFromMosaic = false;
      this.#view.hidden = true;
    }
    return before;
  }

  update() {
    if (this.#camera !== null) {
      const isAlone = this.#cameras.all().length < 2;
      this.#parts.before.disabled = isAlone;
      this.#parts.after.disabled = isAlone;
    }
  }

  #release() {
    this.#stopListening();
    clearInterval(this.#timer);
    if (this.#camera !== null) {
      this.#camera.screen.element.remove();
      this.#watching.leave(this.#camera, 'large');
    }
  }

  #update() {
    const { label, state, trouble } = this.#camera;
    this.#view.dataset.label = label;
    this.#view.dataset.state = state;
    setText(this.#parts.label, label);
    setText(this.#parts.state, state);
    this.#parts.state.dataset.state = state;
    setText(this.#parts.notice, trouble ?? '');
    this.#parts.notice.hidden = trouble === null;
    this.#updateSnapshot();
    const age = pictureAge(this.#camera);
    setText(this.#parts.age, age);
    this.#parts.age.hidden = age === '';
    for (const [name, text] of describe(this.#camera)) {
      if (!this.#rows.has(name)) {
        const value = element('dd');
        this.#parts.figures.append(element('div', LONG.has(name) ? 'figure is-long' : 'figure', element('dt', '', name), value));
        this.#rows.set(name, value);
      }
      setText(this.#rows.get(name), text);
    }
    this.update();
  }

  /** Not `disabled`: the button can still be found by keyboard, and says why it does nothing. */
  #updateSnapshot() {
    const { snapshot } = this.#parts;
    const canBeSaved = this.#camera.screen.hasPicture;
    snapshot.setAttribute('aria-disabled', String(!canBeSaved));
    snapshot.title = canBeSaved ? 'Save this picture' : noPictureOf(this.#camera);
  }

  #leave() {
    if (this.#cameFromMosaic) {
      history.back();
    } else {
      location.hash = '#/';
    }
  }

  /** The neighbours take this one's place in the history: back is the mosaic. */
  #goTo(step) {
    const neighbour = this.#cameras.neighbour(this.#camera, step);
    if (neighbour && neighbour !== this.#camera) {
      location.replace(addressOf(neighbour));
    }
  }

  #key(event) {
    if (this.#camera === null || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.defaultPrevented) {
      return;
    }
    // While the picture fills the screen, Escape is the browser's, and ends that.
    if (event.key === 'Escape' && !document.fullscreenElement) {
      this.#leave();
    } else if (event.key === 'ArrowLeft') {
      this.#goTo(-1);
    } else if (event.key === 'ArrowRight') {
      this.#goTo(1);
    }
  }

  #fullScreen() {
    if (document.fullscreenElement === this.#parts.stage) {
      document.exitFullscreen();
    } else {
      this.#parts.stage.requestFullscreen().catch(() => this.#announcer.show('This browser does not allow full screen.'));
    }
  }

  async #snapshot() {
    const camera = this.#camera;
    // Before the image is made: it may be replaced meanwhile.
    const ageMicros = camera.pictureAgeMicros ?? 0;
    const captured = new Date(Date.now() - ageMicros / 1_000);
    const image = await camera.screen.snapshot();
    if (!image) {
      this.#announcer.show(noPictureOf(camera));
      return;
    }
    const link = element('a');
    link.href = URL.createObjectURL(image);
    link.download = fileName(camera.label, captured);
    link.click();
    // The download has its own hold on the image once it has begun.
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    this.#announcer.show(`A snapshot of ${camera.label} was saved.`);
  }
}

function noPictureOf({ label }) {
  return `There is no picture of ${label} to save.`;
}

/** As `sdvr view` calls its own: some file systems do not take colons. */
function fileName(label, captured) {
  const plainLabel = [...label].slice(0, MOST_OF_LABEL).join('').replace(/[^\w-]/gu, '_');
  return `${plainLabel}-${captured.toISOString().replaceAll(':', '-')}.jpg`;
}
