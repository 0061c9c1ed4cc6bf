// What shows one camera: an element with its newest picture. It moves between the mosaic and the large view without starting anew.

import { canDecode, canPlay } from './kinds.js';
import { CodecDecoder } from './codecs.js';
import { FragmentPlayer } from './mse.js';
import { ImageDecoder } from './image.js';
import { Measurements } from './measurements.js';

export class Screen {
  #camera;
  #painter;
  #refuse;
  #measurements = new Measurements();
  #decoder = null;
  #stream = null;
  /** The newest picture that was decoded and is not painted: { source, width, height, close, frame }. */
  #pending = null;
  #canvas = null;
  #context = null;
  #box = { width: 0, height: 0 };

  /** `refuse` is called with a kind that cannot be shown. */
  constructor({ camera, painter, refuse }) {
    this.#camera = camera;
    this.#painter = painter;
    this.#refuse = refuse;
    this.refusedKinds = new Set();
    this.element = document.createElement('div');
    this.element.className = 'screen';
    const resized = new ResizeObserver(([entry]) => {
      this.#box = { width: entry.contentRect.width, height: entry.contentRect.height };
    });
    resized.observe(this.element);
  }

  get stream() {
    return this.#stream;
  }

  measurements() {
    return this.#measurements.all();
  }

  get summary() {
    return this.#measurements.summary(this.#painter.clock.nowMicros());
  }

  /** How long ago the newest picture was captured; null when there is none, or when the server's clock has begun anew since. */
  get pictureAgeMicros() {
    const captured = this.#measurements.lastCapturedMicros;
    const age = captured === null ? -1 : this.#painter.clock.nowMicros() - captured;
    return age < 0 ? null : age;
  }

  /** Whether there is a picture to be seen and saved. */
  get hasPicture() {
    return this.#canvas !== null || this.#decoder?.element?.videoWidth > 0;
  }

  /** What the server announces: all that was there before is of no use any more. The last picture stays until there is another. */
  begin(said) {
    this.#endDecoder();
    this.#stream = said;
    const canBeShown = said.kind === 'jpeg' || said.kind === 'mp4' ? Promise.resolve(said.kind === 'jpeg' || canPlay(said.codec)) : canDecode(said.codec);
    this.#decoder = this.#makeDecoder(said);
    canBeShown.then((can) => {
      if (!can && this.#stream === said) {
        this.#cannotShow(said.kind);
      }
    });
  }

  handleFrame(frame) {
    if (this.#decoder === null || this.#stream.epoch !== frame.epoch) {
      this.#painter.giveUp(frame);
      return;
    }
    this.#decoder.handleFrame(frame);
  }

  /** Nothing comes any more; the last picture stays. */
  stop() {
    this.#endDecoder();
    this.#stream = null;
  }

  /** Forgets the last picture too. */
  clear() {
    this.stop();
    this.#canvas?.remove();
    this.#canvas = null;
    this.#context = null;
    this.element.classList.remove('has-picture');
  }

  /** The element was moved in the page. */
  moved() {
    this.#decoder?.resume?.();
  }

  /** The picture as it is seen now, as a file; null when there is none. */
  async snapshot() {
    const video = this.#decoder?.element;
    let canvas = this.#canvas;
    if (video && video.videoWidth > 0) {
      canvas = document.createElement('canvas');
      canvas.width = video.videoWidth;
      canvas.height = video.videoHeight;
      canvas.getContext('2d', { alpha: false }).drawImage(video, 0, 0);
    }
    return canvas && new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.95));
  }

  /** Called by the painter. */
  paint() {
    const picture = this.#pending;
    this.#pending = null;
    if (picture === null) {
      return null;
    }
    const { width, height } = this.#paintedSize(picture);
    const canvas = this.#canvasFor(width, height);
    this.#context.drawImage(picture.source, 0, 0, canvas.width, canvas.height);
    picture.close();
    return picture.frame;
  }

  wasPainted(frame, paintedMicros) {
    this.#measurements.add(frame, paintedMicros, this.#stream?.kind ?? 'gone');
    this.element.classList.add('has-picture');
  }

  /** A picture far larger than what it is seen in would only take memory and time. */
  #paintedSize({ width, height }) {
    const ratio = devicePixelRatio || 1;
    const scale = Math.max((this.#box.width * ratio) / width, (this.#box.height * ratio) / height);
    if (scale <= 0 || scale > 0.5) {
      return { width, height };
    }
    return { width: Math.ceil(width * scale), height: Math.ceil(height * scale) };
  }

  #canvasFor(width, height) {
    if (this.#canvas === null) {
      this.#canvas = document.createElement('canvas');
      this.#canvas.setAttribute('aria-hidden', 'true');
      this.#context = this.#canvas.getContext('2d', { alpha: false });
      this.element.append(this.#canvas);
    }
    this.#canvas.dataset.label = this.#camera.label;
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas.width = width;
      this.#canvas.height = height;
    }
    return this.#canvas;
  }

  #makeDecoder(said) {
    const output = {
      picture: (picture) => this.#take(picture),
      giveUp: (frame) => this.#painter.giveUp(frame),
      failed: () => this.#cannotShow(said.kind),
      painted: (frame, paintedMicros) => this.wasPainted(frame, paintedMicros),
    };
    switch (said.kind) {
      case 'jpeg':
        return new ImageDecoder(output);
      case 'mp4': {
        const player = new FragmentPlayer(said, output, this.#painter.clock);
        player.element.dataset.label = this.#camera.label;
        this.element.append(player.element);
        return player;
      }
      default:
        return new CodecDecoder(said, output);
    }
  }

  #take(picture) {
    // Only the newest is painted; the server learns of the others with it.
    this.#pending?.close();
    this.#pending = picture;
    this.#painter.request(this);
  }

  #endDecoder() {
    this.#pending?.close();
    this.#pending = null;
    const decoder = this.#decoder;
    this.#decoder = null;
    if (decoder?.element) {
      this.#keepPictureOf(decoder.element);
      decoder.element.remove();
    }
    decoder?.close();
  }

  /** Of a video that ends, the last picture stays. */
  #keepPictureOf(video) {
    if (video.videoWidth > 0) {
      const canvas = this.#canvasFor(video.videoWidth, video.videoHeight);
      this.#context.drawImage(video, 0, 0, canvas.width, canvas.height);
    }
  }

  #cannotShow(kind) {
    this.#endDecoder();
    // JPEG is what every browser shows: a broken image is the camera's fault, and the next may be whole.
    if (kind !== 'jpeg') {
      this.#refuse(kind);
    }
  }
}
