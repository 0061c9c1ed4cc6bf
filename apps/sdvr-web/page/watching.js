// Which cameras are watched: those that can be seen now. To all others the server sends nothing.

import { Screen } from './screen.js';

/** Who scrolls past a camera and back within this time does not have it start anew. */
const LINGER_MS = 400;
/** Of so many cameras that are out of sight the last picture is kept; more would fill the memory. */
const PICTURES_KEPT = 48;

export class Watching {
  #connection;
  #painter;
  #kinds;
  #documentIsSeen = true;
  /** Whether the server has told its numbers: those of another run of it mean nothing to it. */
  #hasNumbers = false;
  /** Cameras that are in sight, or were until a moment ago, with the places where they are. */
  #wanted = new Map();
  /** Those that the server knows to be watched, by number. */
  #watched = new Map();
  #lingering = new Map();
  #outOfSight = new Set();

  constructor({ connection, painter, kinds }) {
    this.#connection = connection;
    this.#painter = painter;
    this.#kinds = kinds;
  }

  /** Where the camera is shown; made when it is asked for first. */
  screenOf(camera) {
    camera.screen ??= new Screen({
      camera,
      painter: this.#painter,
      // What this browser says it can show and cannot is not asked for again for this camera.
      refuse: (kind) => this.#refuse(camera, kind),
    });
    return camera.screen;
  }

  /** The camera can be seen in a place. */
  want(camera, place) {
    clearTimeout(this.#lingering.get(camera));
    this.#lingering.delete(camera);
    this.#outOfSight.delete(camera);
    const places = this.#wanted.get(camera) ?? new Set();
    this.#wanted.set(camera, places.add(place));
    this.#follow(camera);
  }

  /** It cannot be seen there any more. */
  leave(camera, place) {
    const places = this.#wanted.get(camera);
    places?.delete(place);
    if (places === undefined || places.size > 0 || this.#lingering.has(camera)) {
      return;
    }
    this.#lingering.set(
      camera,
      setTimeout(() => {
        this.#drop(camera);
        this.#outOfSight.add(camera);
        this.#forgetPictures();
      }, LINGER_MS),
    );
  }

  /** The camera is gone. */
  remove(camera) {
    this.#drop(camera);
    this.#watched.delete(camera.number);
    this.#outOfSight.delete(camera);
    camera.screen?.stop();
  }

  setDocumentSeen(isSeen) {
    this.#documentIsSeen = isSeen;
    for (const camera of this.#wanted.keys()) {
      this.#follow(camera);
    }
  }

  /** The connection is lost: the server knows nothing any more. */
  forget() {
    this.#hasNumbers = false;
    for (const camera of this.#watched.values()) {
      camera.screen?.stop();
    }
    this.#watched.clear();
  }

  /** Watches again what is in sight, under the numbers that the server gives now. */
  resume(cameras) {
    this.#hasNumbers = true;
    for (const [number, camera] of [...this.#watched]) {
      if (cameras.byNumber(number) !== camera) {
        this.#watched.delete(number);
      }
    }
    for (const camera of this.#wanted.keys()) {
      this.#follow(camera);
    }
  }

  handleStream(said) {
    const camera = this.#watched.get(said.camera);
    if (camera) {
      camera.trouble = null;
      this.screenOf(camera).begin(said);
      camera.tell('stream');
    }
  }

  handleTrouble(said) {
    const camera = this.#watched.get(said.camera);
    if (camera) {
      camera.trouble = String(said.message);
      camera.tell('trouble');
    }
  }

  handleFrame(frame) {
    const camera = this.#watched.get(frame.camera);
    if (camera) {
      this.screenOf(camera).handleFrame(frame);
    } else {
      // Was under way when it was told that nobody looks.
      this.#painter.giveUp(frame);
    }
  }

  #drop(camera) {
    clearTimeout(this.#lingering.get(camera));
    this.#lingering.delete(camera);
    this.#wanted.delete(camera);
    this.#follow(camera);
  }

  /** Tells the server what has changed of this camera. */
  #follow(camera) {
    const isWatched = this.#watched.get(camera.number) === camera;
    const isToBe = this.#documentIsSeen && this.#wanted.has(camera) && this.#hasNumbers;
    if (isToBe && !isWatched) {
      this.#watched.set(camera.number, camera);
      this.#ask(camera);
    } else if (!isToBe && isWatched) {
      this.#watched.delete(camera.number);
      this.#connection.send({ type: 'unwatch', camera: camera.number });
      camera.screen?.stop();
    }
  }

  #ask(camera) {
    const refused = this.screenOf(camera).refusedKinds;
    const kinds = this.#kinds.filter((kind) => !refused.has(kind));
    this.#connection.send({ type: 'watch', camera: camera.number, kinds });
  }

  #refuse(camera, kind) {
    this.screenOf(camera).refusedKinds.add(kind);
    if (this.#watched.get(camera.number) === camera) {
      this.#ask(camera);
    }
  }

  #forgetPictures() {
    for (const camera of this.#outOfSight) {
      if (this.#outOfSight.size <= PICTURES_KEPT) {
        return;
      }
      this.#outOfSight.delete(camera);
      camera.screen?.clear();
    }
  }
}
