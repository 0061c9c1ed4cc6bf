// The part of the address that says what is shown: `#/camera/LABEL` one camera, anything else all of them.

const CAMERA = '#/camera/';

export class Router {
  #cameras;
  #showLarge;
  #showMosaic;

  constructor({ cameras, showLarge, showMosaic }) {
    this.#cameras = cameras;
    this.#showLarge = showLarge;
    this.#showMosaic = showMosaic;
  }

  start() {
    window.addEventListener('hashchange', () => this.follow());
    this.follow();
  }

  /** Shows what the address says. A camera that is not there is shown as soon as it comes. */
  follow() {
    const name = nameIn(location.hash);
    if (name === null) {
      this.#showMosaic();
      return;
    }
    const camera = this.#cameras.byAddressName(name);
    if (camera) {
      this.#showLarge(camera);
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
