// The part of the address that says what is shown: `#/camera/LABEL` one camera, anything else all of them.

const CAMERA = '#/camera/';

export class Router {
  #cameras;
  #showLarge;
  #showMosaic;
  #showMissing;
  /** The name whose camera is shown, or null. */
  #shownName = null;

  constructor({ cameras, showLarge, showMosaic, showMissing }) {
    this.#cameras = cameras;
    this.#showLarge = showLarge;
    this.#showMosaic = showMosaic;
    this.#showMissing = showMissing;
  }

  start() {
    window.addEventListener('hashchange', () => this.follow());
    this.follow();
  }

  /** Shows what the address says. A camera that is not there is shown as soon as it comes. */
  follow() {
    const name = nameIn(location.hash);
    if (name === null) {
      this.#shownName = null;
      this.#showMosaic();
      return;
    }
    const camera = this.#cameras.byAddressName(name);
    if (camera) {
      this.#shownName = name;
      this.#showLarge(camera);
    } else if (this.#cameras.areKnown && name !== this.#shownName) {
      // One that was shown and is gone stays, with its last picture.
      this.#shownName = null;
      this.#showMissing(name);
    }
  }
}

export function addressOf(camera) {
  return CAMERA + camera.addressName.split('/').map(encodeURIComponent).join('/');
}

function nameIn(hash) {
  if (!hash.startsWith(CAMERA)) {
    return null;
  }
  try {
    return decodeURIComponent(hash.slice(CAMERA.length));
  } catch {
    return null;
  }
}
