// Measures, for the benches: how late frames are painted in a page. Prints one object: for each camera that is painted, how many frames, and
// capture to paint in microseconds. Arguments: seconds to warm up, seconds to measure, and a label to read the counter of, with the frames after which it begins anew.

import { openPage, until, withBrowser } from './support.js';

const [warming, measured, label, cycle] = process.argv.slice(2);
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1_000 * seconds));

/** The frames of all cameras of which some were painted, as the page keeps them. */
function painted() {
  const labels = [...document.querySelectorAll('.tile')].map((tile) => tile.dataset.label);
  const all = labels.map((label) => [label, window.sdvr.measurements(label)]);
  return Object.fromEntries(all.filter(([, frames]) => frames.length > 0));
}

/** The number of the frame that was painted last, and the one that its picture shows. */
function numbers(label) {
  const canvas = [...document.querySelectorAll('canvas')].filter((element) => element.dataset.label === label).at(-1);
  const number = window.sdvr.measurements(label).at(-1)?.[0];
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext('2d', { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const y = canvas.height - 1 - (canvas.height >> 5);
  const { data } = context.getImageData(0, y, canvas.width, 1);
  let shown = 0;
  for (let field = 0; field < 16; field += 1) {
    const x = Math.floor(((field + 0.5) * canvas.width) / 16);
    shown = 2 * shown + (data[4 * x + 1] > 128 ? 1 : 0);
  }
  return [number, shown];
}

await withBrowser(async (browser) => {
  const page = await openPage(browser, label ? { path: `/#/camera/${encodeURIComponent(label)}` } : {});
  await until('there is a picture', async () => Object.keys(await page.evaluate(painted)).length > 0);
  await pause(warming);
  const before = await page.evaluate(painted);
  // Whoever measures the server from outside begins now.
  process.stdout.write('measuring\n');
  await pause(measured);
  const result = {};
  for (const [name, all] of Object.entries(await page.evaluate(painted))) {
    const since = before[name]?.at(-1)[2] ?? -Infinity;
    const frames = all.filter(([, , at]) => at > since);
    if (frames.length === 0) {
      // What is not painted any more is as late as can be.
      result[name] = { kind: null, frames: 0 };
      continue;
    }
    const latencies = frames.map(([, captured, painted]) => painted - captured).sort((one, other) => one - other);
    const at = (share) => Math.round(latencies[Math.floor((latencies.length - 1) * share)]);
    result[name] = { kind: frames.at(-1)[3], frames: frames.length, p50: at(0.5), p99: at(0.99), most: at(1) };
  }
  let matching = 0;
  const looks = label ? 20 : 0;
  for (let look = 0; look < looks; look += 1) {
    const [number, shown] = await page.evaluate(numbers, label);
    // The next one may be drawn already and not have been on the screen.
    matching += [number, number + 1].some((seen) => seen % cycle === shown) ? 1 : 0;
    await pause(0.07);
  }
  process.stdout.write(`${JSON.stringify({ cameras: result, looks, matching })}\n`);
});
