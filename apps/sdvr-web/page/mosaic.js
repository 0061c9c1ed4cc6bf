// All cameras at once. Only those in sight are watched.

import { setText } from './elements.js';
import { Tile } from './tile.js';
import { layOut } from './wall.js';

/** From so many cameras on they can be searched. */
const SEARCHED_FROM = 12;
/** After so long without a camera it is said that there is none. */
const EMPTY_AFTER_MS = 700;
const AGE_INTERVAL_MS = 1_000;

export class Mosaic {
  #cameras;
  #watching;
  #elements;
  #tiles = new Map();
  #tilesByElement = new WeakMap();
  #observer;
  #emptyTimer = null;
  #hadCameras = false;
  /** How many tiles are to be seen. */
  #found = 0;

  constructor({ cameras, watching, elements }) {
    this.#cameras = cameras;
    this.#watching = watching;
    this.#elements = elements;
    this.#observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        this.#tilesByElement.get(entry.target)?.setSeen(entry.isIntersecting);
      }
    });
    elements.filter.addEventListener('input', () => this.#filter());
    elements.filter.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && elements.filter.value !== '') {
        elements.filter.value = '';
        this.#filter();
      }
    });
    // A frame later: laying out changes the size that is observed.
    new ResizeObserver(() => requestAnimationFrame(() => this.#layOut())).observe(elements.mosaic);
    window.addEventListener('resize', () => this.#layOut());
    setInterval(() => this.#updateAges(), AGE_INTERVAL_MS);
    elements.mosaic.addEventListener('keydown', (event) => this.#move(event));
  }

  update(came, changed, gone) {
    for (const camera of gone) {
      this.#removeTile(camera);
    }
    for (const camera of came) {
      const tile = new Tile(camera, this.#watching);
      this.#tiles.set(camera, tile);
      this.#tilesByElement.set(tile.element, tile);
    }
    if (came.length > 0) {
      this.#hadCameras = true;
      this.#order();
    }
    for (const camera of came) {
      this.#observer.observe(this.#tiles.get(camera).element);
    }
    this.#filter();
  }

  /** What is seen is of the past until the server has told all cameras again. */
  connectionLost() {
    this.#filter();
  }

  /** Is seen again, after the large view of a camera, or null. */
  show(cameraBefore) {
    this.#layOut();
    const tile = this.#tiles.get(cameraBefore);
    if (tile) {
      tile.placeScreen();
      tile.link.focus({ preventScroll: true });
      tile.element.scrollIntoView({ block: 'nearest' });
    }
  }

  #updateAges() {
    for (const tile of this.#tiles.values()) {
      tile.updateAge();
    }
  }

  #removeTile(camera) {
    const tile = this.#tiles.get(camera);
    if (!tile) {
      return;
    }
    // Whoever had the focus on it goes on beside it.
    if (tile.element.contains(document.activeElement)) {
      (tile.element.nextElementSibling ?? tile.element.previousElementSibling)?.querySelector('a').focus();
    }
    this.#observer.unobserve(tile.element);
    this.#tiles.delete(camera);
    tile.remove();
  }

  /** Puts new tiles between the others, which are not moved: that would start a video anew. */
  #order() {
    const list = this.#elements.mosaic;
    let next = list.firstElementChild;
    for (const camera of this.#cameras.all()) {
      const { element } = this.#tiles.get(camera);
      if (element === next) {
        next = next.nextElementSibling;
      } else {
        list.insertBefore(element, next);
      }
    }
  }

  #filter() {
    const { filter, empty, count } = this.#elements;
    const total = this.#tiles.size;
    this.#elements['filter-field'].hidden = total <= SEARCHED_FROM && filter.value === '';
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    let live = 0;
    for (const tile of this.#tiles.values()) {
      const matches = tile.matches(words);
      tile.element.hidden = !matches;
      found += matches ? 1 : 0;
      live += tile.camera.isLive ? 1 : 0;
    }
    this.#found = found;
    this.#layOut();
    clearTimeout(this.#emptyTimer);
    if (total > 0 || !this.#cameras.areKnown) {
      empty.hidden = true;
    } else {
      // The server may not have looked yet.
      this.#emptyTimer = setTimeout(() => {
        setText(this.#elements['empty-heading'], this.#hadCameras ? 'No cameras any more' : 'No cameras');
        empty.hidden = false;
      }, EMPTY_AFTER_MS);
    }
    this.#elements['nothing-found'].hidden = total === 0 || found > 0;
    const all = total === 1 ? '1 camera' : `${total} cameras`;
    const states = this.#cameras.areKnown ? `${live} live` : 'state unknown';
    setText(count, words.length > 0 ? `${found} of ${all}` : total === 0 ? '' : `${all}, ${states}`);
  }

  #layOut() {
    const { mosaic } = this.#elements;
    if (this.#found === 0 || mosaic.clientWidth === 0) {
      return;
    }
    const style = getComputedStyle(mosaic);
    const padding = parseFloat(style.paddingLeft);
    const caption = mosaic.querySelector('.tile:not([hidden]) .tile-caption');
    const { columns, tileWidth } = layOut({
      count: this.#found,
      width: mosaic.clientWidth - 2 * padding,
      height: innerHeight - (mosaic.getBoundingClientRect().top + scrollY) - 2 * padding,
      gap: parseFloat(style.columnGap),
      captionHeight: caption.offsetHeight,
    });
    mosaic.style.setProperty('--columns', columns);
    mosaic.style.setProperty('--tile', `${tileWidth}px`);
  }

  /** The arrow keys go from tile to tile, as they are seen. */
  #move(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) {
      return;
    }
    const seen = [...this.#elements.mosaic.children].filter((tile) => !tile.hidden);
    const index = seen.findIndex((tile) => tile.contains(document.activeElement));
    const columns = seen.filter((tile) => tile.offsetTop === seen[0].offsetTop).length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -index, End: seen.length - 1 - index };
    const target = Object.hasOwn(steps, event.key) ? seen[index + steps[event.key]] : undefined;
    if (index >= 0 && target) {
      event.preventDefault();
      target.querySelector('a').focus();
    }
  }
}
