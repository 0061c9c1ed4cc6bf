// Whole images: one is decoded at a time, and of those that come meanwhile only the newest.

export class ImageDecoder {
  #output;
  #isBusy = false;
  #isClosed = false;
  #next = null;

  constructor(output) {
    this.#output = output;
  }

  handleFrame(frame) {
    // The server learns of the one that is left out with the one that is painted.
    this.#next = frame;
    if (!this.#isBusy) {
      this.#decode();
    }
  }

  close() {
    this.#isClosed = true;
    this.#next = null;
  }

  async #decode() {
    this.#isBusy = true;
    while (this.#next !== null) {
      const frame = this.#next;
      this.#next = null;
      try {
        const bitmap = await createImageBitmap(new Blob([frame.payload], { type: 'image/jpeg' }));
        if (this.#isClosed) {
          bitmap.close();
          break;
        }
        this.#output.picture({ source: bitmap, width: bitmap.width, height: bitmap.height, close: () => bitmap.close(), frame });
      } catch {
        // A damaged image of a camera: the next may be whole.
        if (!this.#isClosed) {
          this.#output.giveUp(frame);
        }
      }
    }
    this.#isBusy = false;
  }
}
