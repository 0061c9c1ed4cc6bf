// What is known of a camera, in words for people.

const LINKS = { tcp: 'TCP', udp: 'UDP', ethernet: 'Ethernet' };
const KINDS = {
  h264: 'H.264, decoded by this browser',
  h265: 'H.265, decoded by this browser',
  vp8: 'VP8, decoded by this browser',
  vp9: 'VP9, decoded by this browser',
  av1: 'AV1, decoded by this browser',
  mp4: 'H.264 in a video element',
  jpeg: 'JPEG',
};
const UNKNOWN = '–';

/** Names and texts, in the order in which they are read. */
export function describe(camera) {
  const { figures, screen } = camera;
  const stream = screen?.stream;
  const seen = camera.isLive ? screen?.summary : null;
  const width = stream?.width || camera.width;
  const height = stream?.height || camera.height;
  return [
    ['Resolution', width && height ? `${width} × ${height}` : UNKNOWN],
    ['Frames/s', figures ? `${decimals(figures.frames_per_second, 1)}${seen ? `, ${decimals(seen.paintedPerSecond, 1)} painted` : ''}` : UNKNOWN],
    ['Mbit/s', figures ? decimals(figures.bits_per_second / 1e6, 2) : UNKNOWN],
    ['Capture to screen', seen ? duration(seen.latencyMicros) : UNKNOWN],
    ['Capture to server', figures && figures.latency_p50_us !== null ? `${duration(figures.latency_p50_us)}, 99 %: ${duration(figures.latency_p99_us)}` : UNKNOWN],
    ['Lost', figures ? `${count(figures.lost)} of ${count(figures.frames + figures.lost)}` : UNKNOWN],
    ['Format', camera.format ?? UNKNOWN],
    ['Shown as', stream ? (KINDS[stream.kind] ?? stream.kind) : UNKNOWN],
    ['Link', camera.link === null ? UNKNOWN : (LINKS[camera.link] ?? camera.link)],
    identity(camera),
    ['Directory', camera.directory ?? UNKNOWN],
  ];
}

function identity({ fingerprint, source }) {
  if (fingerprint !== null) {
    return ['Identity', fingerprint];
  }
  return ['Identity', source === null ? 'made on the server' : `made on the server, of ${source}`];
}

function decimals(value, digits) {
  return value.toLocaleString(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function count(value) {
  return value.toLocaleString();
}

function duration(micros) {
  if (micros < 1_000) {
    return `${decimals(micros, 0)} µs`;
  }
  return `${decimals(micros / 1000, micros < 10_000 ? 1 : 0)} ms`;
}
