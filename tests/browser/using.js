// The page is used by keyboard, by those who do not see it, on a phone, in light and in dark, and with hundreds of cameras.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { listenToSocket, openPage, packages, painted, run, tile, until, waitForState } from './support.js';

const AXE = readFileSync(packages.resolve('axe-core/axe.min.js'), 'utf8');
const PHONE = { width: 390, height: 844 };

await run(async (browser) => {
  const page = await openPage(browser);
  await painted(page, 'door', 3);
  await painted(page, 'yard', 3);
  await byKeyboard(page);
  await notThere(page);
  await byScreenReader(page);
  await fullScreen(page);
  await snapshot(page);
  await lightAndDark(page);
  await page.close();
  await onAPhone(browser);
  await wall(browser);
  await hundreds(browser);
});

/** What has the focus: the name by which people know it. */
async function focused(page) {
  return page.evaluate(() => {
    const { activeElement } = document;
    return activeElement.getAttribute('aria-label') ?? activeElement.textContent.trim().replace(/\s+/g, ' ');
  });
}

async function byKeyboard(page) {
  await page.keyboard.press('Tab');
  assert.equal(await focused(page), 'Full screen');
  await page.keyboard.press('Tab');
  assert.match(await focused(page), /^door/);
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(outline, 'none', 'the focus is seen');
  await page.keyboard.press('ArrowRight');
  assert.match(await focused(page), /^yard/);
  await page.keyboard.press('Home');
  assert.match(await focused(page), /^door/);

  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'door' }).waitFor();
  assert.equal(await focused(page), 'door');
  assert.equal(await page.evaluate(() => location.hash), '#/camera/door');
  await page.keyboard.press('ArrowRight');
  await page.getByRole('heading', { name: 'yard' }).waitFor();
  await page.keyboard.press('ArrowRight');
  await page.getByRole('heading', { name: 'door' }).waitFor();
  await page.keyboard.press('ArrowLeft');
  await page.getByRole('heading', { name: 'yard' }).waitFor();
  // Back to where it came from, with the focus on what was seen last.
  await page.keyboard.press('Escape');
  await until('the focus is on the yard', async () => /^yard/.test(await focused(page)));
  assert.notEqual(await page.evaluate(() => location.hash), '#/camera/yard');
  await page.goForward();
  await page.getByRole('heading', { name: 'yard' }).waitFor();
  await page.goBack();
  await until('the focus is on the yard', async () => /^yard/.test(await focused(page)));

  // An address that names a camera.
  await page.goto(new URL('#/camera/door', page.url()).href);
  await page.getByRole('heading', { name: 'door' }).waitFor();
  await page.getByRole('button', { name: 'All cameras' }).click();
  await tile(page, 'door').waitFor();
}

/** An address may name a camera that is not there: it is said, and is no way without an end. */
async function notThere(page) {
  await tile(page, 'door').locator('a').click();
  await page.getByRole('heading', { name: 'door' }).waitFor();
  for (const name of ['nix', 'no/where']) {
    await page.evaluate((name) => {
      location.hash = `#/camera/${name}`;
    }, name);
    await page.getByRole('heading', { name: `There is no camera ${name}` }).waitFor();
    assert.equal(await page.locator('.large').isVisible(), false);
    assert.equal(await page.locator('.mosaic').isVisible(), false);
  }
  await assertAccessible(page, 'where no camera is');
  await page.getByRole('link', { name: 'All cameras' }).click();
  await tile(page, 'door').waitFor();
  assert.equal(await page.locator('#missing').isVisible(), false);
}

async function byScreenReader(page) {
  const mosaic = await page.getByRole('list', { name: 'Cameras' }).ariaSnapshot();
  assert.match(mosaic, /link "door.*live/);
  await assertAccessible(page, 'the mosaic');
  await tile(page, 'door').locator('a').click();
  await painted(page, 'door', 3);
  const large = await page.getByRole('main').ariaSnapshot();
  for (const part of ['heading "door"', 'button "All cameras"', 'button "Camera before"', 'button "Next camera"', 'button "Snapshot"', 'button "Full screen"']) {
    assert.ok(large.includes(part), `${part} is in\n${large}`);
  }
  for (const figure of ['Resolution', 'Frames/s', 'Mbit/s', 'Capture to screen', 'Lost', 'Identity']) {
    assert.ok(large.includes(figure), `${figure} is in\n${large}`);
  }
  const figures = page.locator('.figures');
  await figures.getByText('640 × 360').waitFor();
  await figures.getByText(/^\d+ ms$|^\d\.\d ms$/).first().waitFor();
  await figures.getByText(/^SHA256:/).waitFor();
  await assertAccessible(page, 'the large view');
}

async function assertAccessible(page, what) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    // The page's policy lets nothing in, which is as it has to be; the debugger may.
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => window.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('; ')}`);
    assert.deepEqual(found, [], `${what}, ${colorScheme}`);
  }
}

async function fullScreen(page) {
  await page.getByRole('button', { name: 'Full screen' }).click();
  await page.waitForFunction(() => document.fullscreenElement?.matches('.stage'));
  await painted(page, 'door', 3);
  await page.evaluate(() => document.exitFullscreen());
  await page.waitForFunction(() => document.fullscreenElement === null);
}

async function snapshot(page) {
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Snapshot' }).click();
  const file = await download;
  assert.match(file.suggestedFilename(), /^door-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z\.jpg$/);
  const bytes = readFileSync(await file.path());
  assert.deepEqual([...bytes.subarray(0, 3)], [0xff, 0xd8, 0xff], 'it is a JPEG image');
}

async function lightAndDark(page) {
  const brightness = async (colorScheme) => {
    await page.emulateMedia({ colorScheme });
    return page.evaluate(() => {
      const [red, green, blue] = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number);
      return (red + green + blue) / 3;
    });
  };
  assert.ok((await brightness('light')) > 200);
  assert.ok((await brightness('dark')) < 50);
}

async function onAPhone(browser) {
  const page = await openPage(browser, { viewport: PHONE });
  await painted(page, 'door', 3);
  await assertFits(page);
  await tile(page, 'door').locator('a').click();
  await painted(page, 'door', 3);
  await assertFits(page);
  await page.close();
}

/** As many tiles as there are, as large as they can be with all in view. */
async function wall(browser) {
  let say;
  const page = await openPage(browser, {
    prepare: (page) =>
      page.routeWebSocket('**/socket', (socket) => {
        say = (message) => socket.send(JSON.stringify(message));
        say({ type: 'hello', version: 1, now_us: 0 });
      }),
  });
  const camera = (number) => ({ camera: number, label: `wall-${number}`, state: 'lost', format: 'MJPG', directory: '/dev/shm/sdvr' });
  const seen = [];
  for (const [count, width, height] of [
    [1, 1280, 800],
    [2, 1280, 800],
    [4, 1280, 800],
    [5, 1280, 800],
    [9, 1280, 800],
    [4, 700, 375],
    [4, 390, 844],
  ]) {
    await page.setViewportSize({ width, height });
    say({ type: 'cameras', changed: Array.from({ length: 9 }, (_, index) => camera(index)).slice(0, count), gone: [] });
    say({ type: 'cameras', changed: [], gone: Array.from({ length: 9 - count }, (_, index) => count + index) });
    await page.waitForFunction((count) => document.querySelectorAll('.tile').length === count, count);
    // The size of the window is followed a moment later.
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    const { tops, bottom, highest } = await page.evaluate(() => {
      const boxes = [...document.querySelectorAll('.tile')].map((tile) => tile.getBoundingClientRect());
      return {
        tops: boxes.map(({ top }) => top),
        bottom: Math.max(...boxes.map(({ bottom }) => bottom)),
        highest: Math.max(...boxes.map(({ height }) => height)),
      };
    });
    const columns = tops.filter((top) => top === tops[0]).length;
    seen.push([count, width, columns, bottom <= height]);
    assert.ok(highest < height, `${count} in ${width}: a tile is ${highest} high`);
  }
  assert.deepEqual(seen, [
    [1, 1280, 1, true],
    [2, 1280, 2, true],
    [4, 1280, 2, true],
    [5, 1280, 3, true],
    [9, 1280, 3, true],
    [4, 700, 2, false],
    [4, 390, 1, false],
  ]);
  await page.close();
}

/** Nothing is beside the screen, and whatever can be touched is large enough. */
async function assertFits(page) {
  const { overflow, small } = await page.evaluate(() => ({
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    small: [...document.querySelectorAll('a, button, input')]
      .filter((element) => element.checkVisibility())
      .map((element) => ({ text: element.textContent.trim(), ...element.getBoundingClientRect().toJSON() }))
      .filter(({ width, height }) => width < 44 || height < 44),
  }));
  assert.equal(overflow, 0, 'there is no horizontal scrolling');
  assert.deepEqual(small, [], 'targets are at least 44 pixels large');
}

async function hundreds(browser) {
  const COUNT = 500;
  const FIRST = 1_000_000;
  let say;
  let heard;
  const page = await openPage(browser, {
    prepare: async (page) => {
      heard = listenToSocket(page);
      await page.routeWebSocket('**/socket', (socket) => {
        const server = socket.connectToServer();
        say = (message) => socket.send(JSON.stringify(message));
        socket.onMessage((message) => {
          const said = JSON.parse(message);
          heard.sent.push(said);
          if (!('camera' in said) || said.camera < FIRST) {
            server.send(message);
          }
        });
      });
    },
  });
  await waitForState(page, 'door', 'live');
  const watched = () => {
    const now = new Set();
    for (const { type, camera } of heard.sent) {
      if (type === 'watch') {
        now.add(camera);
      } else if (type === 'unwatch') {
        now.delete(camera);
      }
    }
    return now;
  };
  const camera = (index) => ({
    camera: FIRST + index,
    label: `many-${index}`,
    state: index % 2 ? 'lost' : 'live',
    format: 'MJPG',
    width: 640,
    height: 360,
    link: 'tcp',
    fingerprint: `SHA256:${index}`,
    source: null,
    directory: '/dev/shm/sdvr',
  });
  say({ type: 'cameras', changed: Array.from({ length: COUNT }, (_, index) => camera(index)), gone: [] });
  await page.getByText(`${COUNT + 2} cameras`).waitFor();
  await until('cameras in sight are watched', () => watched().size > 5);
  assert.ok(watched().size < 60, `${watched().size} are watched`);
  await page.locator('.tile').last().scrollIntoViewIfNeeded();
  await until('others are watched after scrolling', () => watched().has(FIRST) === false && watched().size > 2 && watched().size < 60);

  await page.getByRole('searchbox', { name: 'Find cameras' }).fill('many-49 live');
  await page.getByText(`5 of ${COUNT + 2} cameras`).waitFor();
  await until('what was found is watched', () => {
    const now = watched();
    return [490, 492, 494, 496, 498].every((index) => now.has(FIRST + index)) && now.size < 10;
  });
  await page.keyboard.press('Escape');
  await page.getByText(`${COUNT + 2} cameras, ${COUNT / 2 + 2} live`).waitFor();

  // Two of one label, in different directories, have addresses of their own.
  const namesake = { ...camera(0), camera: FIRST + COUNT, directory: '/dev/shm/other' };
  say({ type: 'cameras', changed: [namesake], gone: [] });
  await page.locator('.tile[data-label="many-0"]').nth(1).locator('a').click();
  await page.locator('.figures').getByText('/dev/shm/other').waitFor();
  assert.equal(await page.evaluate(() => decodeURIComponent(location.hash)), `#/camera/many-0@${namesake.camera}`);
  await page.keyboard.press('ArrowLeft');
  await page.locator('.figures').getByText('/dev/shm/sdvr').waitFor();
  await page.keyboard.press('Escape');

  say({ type: 'cameras', changed: [], gone: Array.from({ length: COUNT + 1 }, (_, index) => FIRST + index) });
  await page.getByText('2 cameras, 2 live').waitFor();
  await painted(page, 'door', 3);
}
