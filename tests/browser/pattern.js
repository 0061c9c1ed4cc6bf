// The test pattern, computed again (crates/sdvr-source/src/test_pattern.rs): what a picture has to look like, and which number it has.

/** BT.601 limited range: Y, Cb, Cr. */
const BARS = [
  [180, 128, 128],
  [162, 44, 142],
  [131, 156, 44],
  [112, 72, 58],
  [84, 184, 198],
  [65, 100, 212],
  [35, 212, 114],
  [16, 128, 128],
];
const WHITE = [235, 128, 128];
const BLACK = [16, 128, 128];

/** Y, Cb, Cr of a pixel of frame `number`. */
export function pixel(x, y, number, width, height) {
  const side = Math.floor(height / 8);
  if (y >= height - Math.floor(height / 16)) {
    return (number >> (15 - Math.floor((16 * x) / width))) & 1 ? WHITE : BLACK;
  }
  const top = Math.floor(height / 4);
  const left = (8 * number) % (width - side);
  if (y >= top && y < top + side && x >= left && x < left + side) {
    return WHITE;
  }
  return BARS[Math.floor((8 * ((x + 2 * number) % width)) / width)];
}

/** What a display shows of it: red, green, blue from 0 to 255. `isFull`: the numbers are of the full range, as in JPEG. */
export function toRgb([y, cb, cr], { isFull = false, isGrey = false }) {
  const [kr, kb] = [0.299, 0.114];
  const [luma, scale] = isFull ? [y, 1] : [((y - 16) * 255) / 219, 255 / 224];
  const [b, r] = isGrey ? [0, 0] : [(cb - 128) * scale, (cr - 128) * scale];
  const red = luma + 2 * (1 - kr) * r;
  const blue = luma + 2 * (1 - kb) * b;
  const green = (luma - kr * red - kb * blue) / (1 - kr - kb);
  return [red, green, blue].map((value) => Math.min(255, Math.max(0, Math.round(value))));
}

/** Codecs work in squares of so many pixels, and smooth their edges by a few. */
const BLOCK = 16;
const SMOOTHED = 4;

/** Points of frame `number` whose block has one colour, also a little around it: what lossy codecs do to edges is not looked at. */
export function calmPoints(number, width, height) {
  const points = [];
  for (let top = 0; top < height; top += BLOCK) {
    for (let left = 0; left < width; left += BLOCK) {
      const [right, bottom] = [left + BLOCK - 1, top + BLOCK - 1];
      const xs = [left - SMOOTHED, (left + right) >> 1, right + SMOOTHED].map((x) => Math.min(width - 1, Math.max(0, x)));
      const ys = [top - SMOOTHED, (top + bottom) >> 1, bottom + SMOOTHED].map((y) => Math.min(height - 1, Math.max(0, y)));
      const colours = ys.flatMap((y) => xs.map((x) => pixel(x, y, number, width, height)));
      if (colours.every((colour) => colour === colours[0])) {
        points.push([left, top], [xs[1], ys[1]], [left + 13, Math.min(height - 1, top + 5)]);
      }
    }
  }
  return points;
}

/** Reads what is seen of a camera now: its size, the number that its counter row shows, and all pixels. */
export async function readPicture(page, label) {
  const picture = await page.evaluate(
    (label) => {
      const shown = [...document.querySelectorAll('canvas, video')].filter((element) => element.dataset.label === label).at(-1);
      const width = shown.videoWidth ?? shown.width;
      const height = shown.videoHeight ?? shown.height;
      const copy = new OffscreenCanvas(width, height);
      const context = copy.getContext('2d', { willReadFrequently: true });
      context.drawImage(shown, 0, 0);
      const { data } = context.getImageData(0, 0, width, height);
      const at = (x, y) => [...data.slice(4 * (y * width + x), 4 * (y * width + x) + 3)];
      let number = 0;
      for (let field = 0; field < 16; field += 1) {
        const [, green] = at(Math.floor(((field + 0.5) * width) / 16), height - 1 - Math.floor(height / 32));
        number = 2 * number + (green > 128 ? 1 : 0);
      }
      let bytes = '';
      for (let start = 0; start < data.length; start += 30_000) {
        bytes += String.fromCharCode(...data.subarray(start, start + 30_000));
      }
      return { width, height, number, data: btoa(bytes) };
    },
    label,
  );
  const data = Buffer.from(picture.data, 'base64');
  const colourAt = (x, y) => [...data.subarray(4 * (y * picture.width + x), 4 * (y * picture.width + x) + 3)];
  return { ...picture, colourAt };
}
