// The socket to the server. When it is lost, it is opened again, at first soon, later every few seconds.

import { parseFrame } from './wire.js';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;
/** A server that says nothing for so long (it answers `ping`) is not there any more, whatever the network believes. */
const SILENCE_MS = 15_000;
const NOT_AS_AGREED = 4002;

export class Connection {
  #handlers;
  #socket = null;
  #pauseMs = FIRST_PAUSE_MS;
  #timer = null;
  #silence = null;

  constructor(handlers) {
    this.#handlers = handlers;
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  open() {
    clearTimeout(this.#timer);
    const address = new URL('socket', document.baseURI);
    address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
    address.hash = '';
    const socket = new WebSocket(address);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      this.#pauseMs = FIRST_PAUSE_MS;
      this.#handlers.opened();
      this.#listen();
    };
    socket.onmessage = ({ data }) => this.#receive(socket, data);
    socket.onclose = () => this.#closed(socket);
    this.#socket = socket;
  }

  /** Says it if there is a connection: what is said is about now, so that nothing is kept for later. */
  send(message) {
    if (this.isOpen) {
      this.#socket.send(JSON.stringify(message));
    }
  }

  /** Does not wait any longer, if it waits to open the socket again. */
  tryNow() {
    if (this.#timer !== null) {
      this.#timer = null;
      this.#pauseMs = FIRST_PAUSE_MS;
      this.open();
    }
  }

  #receive(socket, data) {
    if (socket !== this.#socket) {
      return;
    }
    this.#listen();
    try {
      if (typeof data === 'string') {
        this.#handlers.message(JSON.parse(data));
      } else {
        this.#handlers.frame(parseFrame(data));
      }
    } catch (error) {
      console.warn(`What the server said cannot be used: ${error.message}`);
      socket.close(NOT_AS_AGREED, 'not as agreed');
    }
  }

  #listen() {
    clearTimeout(this.#silence);
    const socket = this.#socket;
    this.#silence = setTimeout(() => {
      socket.close();
      // Closing waits for the other side, which is not there.
      this.#closed(socket);
    }, SILENCE_MS);
  }

  #closed(socket) {
    if (socket !== this.#socket) {
      return;
    }
    this.#socket = null;
    clearTimeout(this.#silence);
    this.#handlers.lost();
    // Not all pages at the same moment, when a server comes back.
    const pauseMs = this.#pauseMs * (0.75 + Math.random() / 2);
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.open();
    }, pauseMs);
  }
}
