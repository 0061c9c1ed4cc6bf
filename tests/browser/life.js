// Cameras come, are lost and come back, and so does the server: the page follows without being loaded again.

import assert from 'node:assert/strict';
import { drive, openPage, painted, run, tile, until, waitForState } from './support.js';

await run(async (browser) => {
  const page = await openPage(browser, {
    // What a browser says itself of a server that is not there.
    isExpected: (text) => /WebSocket connection to .* failed/.test(text),
  });
  await page.getByRole('heading', { name: 'No cameras' }).waitFor();
  await page.evaluate(() => {
    window.wasNotLoadedAgain = true;
  });

  await drive('start', 'door');
  await waitForState(page, 'door', 'live');
  await painted(page, 'door', 5);
  assert.equal(await page.getByRole('heading', { name: 'No cameras' }).isVisible(), false);

  await drive('start', 'yard');
  await waitForState(page, 'yard', 'live');
  await painted(page, 'yard', 5);
  const order = await page.locator('.tile-label').allTextContents();
  assert.deepEqual(order, ['door', 'yard']);

  // Killed in the mosaic: the other goes on, and the last picture stays. (It is lost after a minute, of which nobody here waits for the end.)
  await drive('kill', 'door');
  await waitForState(page, 'door', 'stale');
  await painted(page, 'yard', 5);
  assert.equal(await tile(page, 'door').locator('canvas').count(), 1);
  await until('it is said that the door is stale', async () => (await page.locator('#announcements').textContent()).includes('door is stale.'));
  await drive('start', 'door');
  await waitForState(page, 'door', 'live');
  await painted(page, 'door', 5);

  // Killed while it is large.
  await tile(page, 'yard').locator('a').click();
  await painted(page, 'yard', 3);
  await drive('kill', 'yard');
  await page.waitForSelector('.large[data-state="stale"]');
  await assertIsOfThePast(page);
  await drive('start', 'yard');
  await page.waitForSelector('.large[data-state="live"]');
  await painted(page, 'yard', 5);

  // All are lost with their daemon.
  await drive('kill-daemon');
  await page.waitForSelector('.large[data-state="lost"]');
  await drive('start-daemon');
  await page.waitForSelector('.large[data-state="live"]');
  await painted(page, 'yard', 5);

  // The server ends and is started again.
  await drive('kill-web');
  await page.locator('#connection').waitFor();
  await page.waitForSelector('.large[data-state="unknown"]');
  await page.goBack();
  await page.getByText('2 cameras, state unknown').waitFor();
  await waitForState(page, 'door', 'unknown');
  await waitForState(page, 'yard', 'unknown');
  await page.goForward();
  await page.waitForSelector('.large[data-state="unknown"]');
  await drive('start-web');
  await page.locator('#connection').waitFor({ state: 'hidden' });
  await painted(page, 'yard', 5);
  await page.goBack();
  await painted(page, 'door', 5);

  // Of a daemon that has ended in order, no camera is left.
  await drive('end-daemon');
  await page.getByRole('heading', { name: 'No cameras any more' }).waitFor();
  assert.equal(await page.evaluate(() => window.wasNotLoadedAgain), true);
});

/** What was true while pictures came is not said any longer; how old the last one is changes. */
async function assertIsOfThePast(page) {
  const figure = (name) => page.locator('.figure', { has: page.locator('dt', { hasText: name }) }).locator('dd').textContent();
  for (const name of ['Frames/s', 'Mbit/s', 'Capture to screen', 'Capture to server']) {
    assert.equal(await figure(name), '–', name);
  }
  const age = page.locator('.large .age');
  const first = await age.textContent();
  assert.match(first, /^last picture \d+ s ago$/);
  await until('the last picture is older', async () => (await age.textContent()) !== first);
}
