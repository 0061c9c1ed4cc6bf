// Sixteen cameras at once; what is out of sight is not sent; a slow page keeps its delay, and others theirs.

import assert from 'node:assert/strict';
import { ADDRESS, listenToSocket, measurements, median, openPage, painted, run, setHidden, until } from './support.js';

const LABELS = Array.from({ length: 16 }, (_, index) => `camera-${index + 1}`);
const SECOND_MICROS = 1_000_000;

await run(async (browser) => {
  let heard;
  const listen = async (page) => {
    heard = listenToSocket(page);
  };
  const page = await openPage(browser, { viewport: { width: 1280, height: 1000 }, prepare: listen });
  await Promise.all(LABELS.map((label) => painted(page, label, 15)));
  const order = await page.locator('.tile-label').allTextContents();
  assert.deepEqual(order, LABELS, 'numbers in labels are read as people read them');

  await onlyWhatIsInSightIsSent(page, heard);
  await aHiddenPageIsSentNothing(page, heard);
  await aSlowPageDelaysNoOther(browser, page);
});

async function onlyWhatIsInSightIsSent(page, heard) {
  await page.locator('.tile a').first().click();
  await page.waitForSelector('.large[data-state="live"]');
  await quiet(heard, 1);
  await readers(1);
  const seen = await page.evaluate(() => document.querySelector('.large').dataset.label);
  assert.equal(seen, LABELS[0]);
  await page.keyboard.press('Escape');
  await Promise.all(LABELS.map((label) => painted(page, label, 3)));
}

async function aHiddenPageIsSentNothing(page, heard) {
  await setHidden(page, true);
  await quiet(heard, 0);
  await readers(0);
  await setHidden(page, false);
  const frames = await painted(page, LABELS[3], 5);
  // It begins with what is new, not with what came meanwhile.
  const now = await page.evaluate(() => window.sdvr.clock().offset + performance.now() * 1000);
  assert.ok(frames.every(([, captured]) => captured > now - 20 * SECOND_MICROS));
}

/** Waits until the server reads so many cameras, and makes images of no other. */
async function readers(count) {
  await until(`the server reads ${count} cameras`, async () => {
    const figures = await (await fetch(new URL('metrics', ADDRESS))).text();
    return figures.split('\n').includes(`sdvr_web_readers ${count}`);
  });
}

/** Waits until frames of at most `most` cameras come. */
async function quiet(heard, most) {
  await until(`frames of ${most} cameras come`, async () => {
    const before = heard.frames.length;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    return new Set(heard.frames.slice(before).map(({ camera }) => camera)).size <= most;
  });
}

async function aSlowPageDelaysNoOther(browser, page) {
  const label = LABELS[7];
  const before = median(latencies(await painted(page, label, 30)));
  // One that says late what it has shown, as a page does whose machine or network is slow.
  const slow = await openPage(browser, {
    prepare: (slow) =>
      slow.addInitScript(() => {
        const { send } = WebSocket.prototype;
        WebSocket.prototype.send = function (data) {
          setTimeout(() => send.call(this, data), String(data).includes('"shown"') ? 700 : 0);
        };
      }),
  });
  const client = await browser.context.newCDPSession(slow);
  await client.send('Emulation.setCPUThrottlingRate', { rate: 4 });
  const first = await painted(slow, label, 6);
  const others = await painted(page, label, 45);
  const last = await painted(slow, label, 6);
  await slow.close();
  const skipped = last.slice(1).map(([number], index) => number - last[index][0] - 1);
  assert.ok(Math.max(...skipped) > 0, `the slow page leaves frames out: ${skipped}`);
  // Not its delay grows, which would be by all that it leaves out: several seconds until here.
  assert.ok(median(latencies(last)) < median(latencies(first)) + 1.5 * SECOND_MICROS, `${latencies(first)} became ${latencies(last)}`);
  assert.ok(median(latencies(others)) < before + SECOND_MICROS / 2, `${before} became ${median(latencies(others))}`);
  assert.ok((await measurements(page, label)).length > 0);
}

function latencies(frames) {
  return frames.map(([, captured, painted]) => painted - captured);
}
