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
const UNITS_OF_AGE = [
  ['days', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
];
const UNKNOWN = '–';

/** Names and texts, in the order in which they are read. */
export function describe(camera) {
  const { figures, screen } = camera;
  const stream = screen?.stream;
  // Of a camera that sends nothing, the last second's are not true any more; what is counted is.
  const current = camera.isLive ? figures : null;
  const seen = camera.isLive ? screen?.summary : null;
  const width = stream?.width || camera.width;
  const height = stream?.height || camera.height;
  return [
    ['Resolution', width && height ? `${width} × ${height}` : UNKNOWN],
    ['Frames/s', current ? `${decimals(current.frames_per_second, 1)}${seen ? `, ${decimals(seen.paintedPerSecond, 1)} painted` : ''}` : UNKNOWN],
    ['Mbit/s', current ? decimals(current.bits_per_second / 1e6, 2) : UNKNOWN],
    ['Capture to screen', seen ? duration(seen.latencyMicros) : UNKNOWN],
    ['Capture to server', current && current.latency_p50_us !== null ? `${duration(current.latency_p50_us)}, 99 %: ${duration(current.latency_p99_us)}` : UNKNOWN],
    ['Lost', figures ? `${count(figures.lost)} of ${count(figures.frames + figures.lost)}` : UNKNOWN],
    ['Format', camera.format ?? UNKNOWN],
    ['Shown as', stream ? (KINDS[stream.kind] ?? stream.kind) : UNKNOWN],
    ['Link', camera.link === null ? UNKNOWN : (LINKS[camera.link] ?? camera.link)],
    identity(camera),
    ['Directory', camera.directory ?? UNKNOWN],
  ];
}

/** How old the last picture of a camera is that sends no more; empty while it sends, and when there is none. */
export function pictureAge(camera) {
  const ageMicros = camera.isLive ? null : camera.pictureAgeMicros;
  return ageMicros === null ? '' : `last picture ${ago(ageMicros / 1_000_000)}`;
}

function ago(seconds) {
  // From two on, so that "1 min" is not said of nearly two.
  const [unit, secondsEach] = UNITS_OF_AGE.find(([, secondsEach]) => seconds >= 2 * secondsEach) ?? UNITS_OF_AGE.at(-1);
  return `${count(Math.floor(seconds / secondsEach))} ${unit} ago`;
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
