// Frames as they come over the socket (PROTOCOL.md).

const VERSION = 1;
const HEADER_BYTES = 32;
const KEY = 1;

/** Takes the header off; the payload is a view of `buffer`. Throws when it is no frame of this version. */
export function parseFrame(buffer) {
  if (buffer.byteLength < HEADER_BYTES) {
    throw new Error(`a frame of ${buffer.byteLength} bytes is shorter than its header`);
  }
  const header = new DataView(buffer, 0, HEADER_BYTES);
  const version = header.getUint8(0);
  if (version !== VERSION) {
    throw new Error(`a frame is of version ${version}; reload this page`);
  }
  return {
    camera: header.getUint32(4, true),
    epoch: header.getUint32(8, true),
    missed: header.getUint32(12, true),
    number: Number(header.getBigUint64(16, true)),
    capturedMicros: Number(header.getBigInt64(24, true)),
    isKey: (header.getUint8(1) & KEY) !== 0,
    payload: new Uint8Array(buffer, HEADER_BYTES),
  };
}
