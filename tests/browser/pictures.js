// Pictures move, and are those that the cameras have sent, in each way in which a browser can show them.
//
// SDVR_BROWSER_LACKS names what the browser is to do without; the driver runs this once for each.

import assert from 'node:assert/strict';
import { calmPoints, pixel, readPicture, toRgb } from './pattern.js';
import { measurements, openPage, painted, run, tile, until } from './support.js';

const LACKS = process.env.SDVR_BROWSER_LACKS.split(',').filter(Boolean);
/** How many frames the film has that the camera `film` sends over and over. */
const FILM_FRAMES = Number(process.env.SDVR_FILM_FRAMES);
const FILM_KIND = LACKS.length === 0 ? 'h264' : LACKS.includes('MediaSource') ? 'jpeg' : 'mp4';
/** The cameras, by label: after how many frames they repeat, as what they come, and how their colours are meant. */
const CAMERAS = {
  mjpg: { cycle: 32, kind: 'jpeg', colours: { isFull: true } },
  yuyv: { cycle: 65_536, kind: 'jpeg', colours: {} },
  nv12: { cycle: 65_536, kind: 'jpeg', colours: {} },
  grey: { cycle: 65_536, kind: 'jpeg', colours: { isFull: true, isGrey: true } },
  film: { cycle: FILM_FRAMES, kind: FILM_KIND, colours: {} },
};
/** By how much a colour may differ from the formula's: what two lossy codecs and their rounding do. */
const TOLERANCE = 16;

await run(async (browser) => {
  const page = await openPage(browser, {
    prepare: (page) =>
      page.addInitScript((lacks) => {
        for (const name of lacks) {
          delete globalThis[name];
        }
      }, LACKS),
  });
  for (const [label, { kind }] of Object.entries(CAMERAS)) {
    const frames = await painted(page, label, 10);
    assert.deepEqual([...new Set(frames.map(([, , , kind]) => kind))], [kind], label);
    const numbers = frames.map(([number]) => number);
    assert.deepEqual(numbers, [...new Set(numbers)].sort((one, other) => one - other), `${label} goes forward`);
  }
  for (const [label, camera] of Object.entries(CAMERAS)) {
    // As large as the camera sends it.
    await tile(page, label).locator('a').click();
    await painted(page, label, 5);
    await check(page, label, camera);
    await page.keyboard.press('Escape');
    await tile(page, label).waitFor();
  }
});

async function check(page, label, { cycle, colours }) {
  const { width, height, number, colourAt } = await readPicture(page, label);
  assert.deepEqual([width, height], [640, 360], label);
  await until(`the frame whose picture ${label} shows is among those that were painted`, async () =>
    (await measurements(page, label)).slice(-90).some(([painted]) => painted % cycle === number),
  );
  const points = calmPoints(number, width, height);
  assert.ok(points.length > 300, `${points.length} points`);
  for (const [x, y] of points) {
    const wanted = toRgb(pixel(x, y, number, width, height), colours);
    const seen = colourAt(x, y);
    const differs = Math.max(...wanted.map((value, index) => Math.abs(value - seen[index])));
    assert.ok(differs <= TOLERANCE, `${label}, frame ${number}: (${x}, ${y}) is ${seen}, not ${wanted}`);
  }
}
