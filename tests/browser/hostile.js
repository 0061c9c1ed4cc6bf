// Whatever a camera calls itself and says of itself is text: it is seen, and runs nothing.

import assert from 'node:assert/strict';
import { openPage, run, tile, until, waitForState } from './support.js';

const ATTACK = '"><img src=x onerror="window.wasAttacked=1"><script>window.wasAttacked=1</script>';
const HOSTILE = {
  camera: 4_000_000,
  label: `<b onmouseover="window.wasAttacked=1">door</b>${ATTACK}`,
  state: `lost" onclick="window.wasAttacked=1`,
  format: '<u>X',
  width: 640,
  height: 480,
  link: '<i>tcp</i>',
  fingerprint: ATTACK,
  source: null,
  directory: `javascript:window.wasAttacked=1`,
};

await run(async (browser) => {
  const sent = [];
  let say;
  const page = await openPage(browser, {
    isExpected: (text) => text.includes('the server says what this page does not know: constructor'),
    prepare: (page) =>
      page.routeWebSocket('**/socket', (socket) => {
        const server = socket.connectToServer();
        say = (message) => socket.send(JSON.stringify(message));
        socket.onMessage((message) => {
          const said = JSON.parse(message);
          sent.push(said);
          // The server knows nothing of cameras that only this test has.
          if (!('camera' in said) || said.camera < HOSTILE.camera) {
            server.send(message);
          }
        });
      }),
  });

  // What a program can really publish: its format is four bytes of its choice.
  await waitForState(page, 'door/people', 'live');
  await withoutPicture(page);
  say({ type: 'cameras', changed: [HOSTILE], gone: [] });
  await until('the hostile camera is watched', () => sent.some(({ type, camera }) => type === 'watch' && camera === HOSTILE.camera));
  say({ type: 'trouble', camera: HOSTILE.camera, message: ATTACK });
  const hostileTile = page.locator('.tile', { hasText: HOSTILE.label });
  await hostileTile.getByText(ATTACK, { exact: true }).waitFor();
  await hostileTile.locator('a').click();
  await page.getByRole('heading', { name: HOSTILE.label }).waitFor();
  const figures = await page.locator('.figures').textContent();
  for (const text of [HOSTILE.format, HOSTILE.link, HOSTILE.fingerprint, HOSTILE.directory]) {
    assert.ok(figures.includes(text), `${text} is seen as it is`);
  }
  assert.equal(await page.title(), `${HOSTILE.label} – SDVR`);
  say({ type: 'cameras', changed: [{ ...HOSTILE, state: 'live' }], gone: [] });
  await page.waitForSelector('.large[data-state="live"]');
  await page.keyboard.press('Escape');
  await page.locator('.tile').first().waitFor();

  // Nothing of it became an element or ran.
  assert.equal(await page.evaluate(() => document.querySelectorAll('b, i, u, img:not(.brand img), body script').length), 0);
  assert.equal(await page.evaluate(() => window.wasAttacked), undefined);

  // A server that says what this page does not know is left, and found again.
  const before = sent.length;
  say({ type: 'constructor' });
  await page.locator('#connection').waitFor();
  await until('the page has come back', () => sent.length > before);
});

/** What has no picture cannot be saved, and whoever tries is told why. */
async function withoutPicture(page) {
  await tile(page, 'door/people').locator('a').click();
  const button = page.locator('[data-part="snapshot"]');
  await page.waitForSelector('[data-part="snapshot"][aria-disabled="true"]');
  const reason = 'There is no picture of door/people to save.';
  assert.equal(await button.getAttribute('title'), reason);
  await button.click({ force: true });
  await page.locator('#message', { hasText: reason }).waitFor();
  await page.keyboard.press('Escape');
  await page.locator('.tile').first().waitFor();
}
