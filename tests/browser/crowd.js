// Sixteen cameras at once; what is out of sight is not sent; a slow page keeps its delay, and others theirs.

import assert from 'node:assert/strict';
import { ADDRESS, listenToSocket, measurements, openPage, painted, run, setHidden, until, withBrowser } from './support.js';

const LABELS = Array.from({ length: 16 }, (_, index) => `camera-${index + 1}`);
const SECOND_MICROS = 1_000_000;
/** By how much a slow page is late with what it says. */
const LATE_MS = 3_000;

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
  // In a browser of its own: the one that is not in front would be slow by itself.
  await withBrowser((other) => aSlowPageDelaysNoOther(other, page));
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
  const seenAgain = (await now(page)) - SECOND_MICROS;
  await setHidden(page, false);
  const frames = await painted(page, LABELS[3], 5);
  // It begins with what is new, not with what came meanwhile.
  assert.ok(frames.every(([, captured]) => captured > seenAgain));
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

async function aSlowPageDelaysNoOther(otherBrowser, page) {
  const label = LABELS[7];
  // One that says late what it has shown, as a page does whose machine or network is slow.
  const slow = await openPage(otherBrowser, {
    prepare: (slow) =>
      slow.addInitScript((lateMs) => {
        const { send } = WebSocket.prototype;
        WebSocket.prototype.send = function (data) {
          setTimeout(() => send.call(this, data), String(data).includes('"shown"') ? lateMs : 0);
        };
      }, LATE_MS),
  });
  const client = await otherBrowser.context.newCDPSession(slow);
  await client.send('Emulation.setCPUThrottlingRate', { rate: 4 });
  await painted(slow, label, 1);
  // A window's frames come at first, and fewer each time that it is late: then a few at a time.
  await new Promise((resolve) => setTimeout(resolve, 3 * LATE_MS));
  const began = await now(page);
  await painted(slow, label, 5);
  const ended = await now(page);
  const during = (frames) => frames.filter(([, , at]) => at >= began && at <= ended);
  const [ofSlow, ofOther] = [slow, page].map((page) => measurements(page, label));
  const [few, many] = [during(await ofSlow), during(await ofOther)];
  await slow.close();
  assert.ok(many.length >= 3 * few.length, `the other page paints more: ${many.length} beside ${few.length} in ${(ended - began) / SECOND_MICROS} s`);
  const skipped = few.slice(1).map(([number], index) => number - few[index][0] - 1);
  assert.ok(Math.max(...skipped) > 0, `the slow page leaves frames out: ${skipped}`);
  // It has seen a few of many frames: were they waiting for it, the last would be as late as it has been slow.
  const [, captured, at] = few.at(-1);
  assert.ok(at - captured < (ended - began) / 2, `${latencies(few)}`);
}

/** The server's time, in microseconds. */
function now(page) {
  return page.evaluate(() => window.sdvr.clock().offset + performance.now() * 1000);
}

function latencies(frames) {
  return frames.map(([, captured, painted]) => painted - captured);
}
