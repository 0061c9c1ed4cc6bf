// What the tests have together: a browser, pages that note whatever goes wrong in them, and the pattern that cameras send.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Where the page is, as the driver says. */
export const ADDRESS = process.env.SDVR_WEB_ADDRESS;
/** How long anything may take. Generous: these machines are shared, and what is promised in time is measured by the benches. */
export const PATIENCE_MS = 30_000;

/** Where the packages of npm are: in cargo's folder, not in the tree. */
const PACKAGES = process.env.SDVR_BROWSER_PACKAGES ?? fileURLToPath(new URL('../../target/browser', import.meta.url));
export const packages = createRequire(join(PACKAGES, 'package.json'));
const { chromium } = packages('playwright-core');

const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Runs a test as `withBrowser` does, and ends this program: with 1 when it fails. */
export async function run(test) {
  try {
    await withBrowser(test);
    process.exit(0);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}

/** Runs `test` with a browser of its own that leaves nothing behind. Fails when a page complained. */
export async function withBrowser(test) {
  const profile = mkdtempSync(join(tmpdir(), 'sdvr-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.SDVR_CHROMIUM ?? '/usr/bin/chromium',
    args: ARGUMENTS,
    viewport: { width: 1280, height: 800 },
    acceptDownloads: true,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const browser = { context, complaints: [] };
  try {
    await test(browser);
    assert.deepEqual(browser.complaints, [], 'a page complains');
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** Opens the page. `prepare` is called before it is loaded; a complaint that `isExpected` matches is none. */
export async function openPage(browser, { path = '/', prepare = async () => {}, isExpected = () => false, viewport } = {}) {
  const page = await browser.context.newPage();
  const complain = (text) => {
    if (!isExpected(text)) {
      browser.complaints.push(text);
    }
  };
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) {
      complain(`${message.type()}: ${message.text()}`);
    }
  });
  page.on('pageerror', (error) => complain(`error: ${error.message}`));
  page.on('dialog', (dialog) => {
    complain(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== 'blob:' && protocol !== 'data:' && origin !== new URL(ADDRESS).origin) {
      complain(`a request to ${request.url()}`);
    }
  });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  if (viewport) {
    await page.setViewportSize(viewport);
  }
  await prepare(page);
  await page.goto(new URL(path, ADDRESS).href);
  return page;
}

/** What the page measured of a camera: [number, captured, painted, kind], oldest first. */
export async function measurements(page, label) {
  return page.evaluate((label) => window.sdvr?.measurements(label) ?? [], label);
}

/** Waits until `count` more frames of the camera were painted; gives them. */
export async function painted(page, label, count) {
  const seen = (await measurements(page, label)).at(-1)?.[2] ?? -Infinity;
  const later = ([label, seen]) => (window.sdvr?.measurements(label) ?? []).filter(([, , at]) => at > seen);
  await page.waitForFunction(
    ([label, seen, count]) => (window.sdvr?.measurements(label) ?? []).filter(([, , at]) => at > seen).length >= count,
    [label, seen, count],
    { timeout: PATIENCE_MS, polling: 50 },
  );
  return page.evaluate(later, [label, seen]);
}

/** Waits until the condition, which may ask the page, holds. */
export async function until(what, condition, patienceMs = PATIENCE_MS) {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    if (await condition()) {
      return;
    }
    assert.ok(Date.now() < deadline, `waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The tile of a camera. */
export function tile(page, label) {
  return page.locator(`.tile[data-label="${label}"]`);
}

/** Waits until the camera's tile says that it is in this state. */
export async function waitForState(page, label, state) {
  await page.waitForSelector(`.tile[data-label="${label}"][data-state="${state}"]`, { state: 'attached' });
}

/** Asks the test's driver to do something, such as to kill a camera, and waits until it is done. */
export async function drive(...command) {
  process.stdout.write(`${JSON.stringify(command)}\n`);
  // Made with the first question: who listens to its input does not end by itself.
  answers ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const { value } = await answers.next();
  assert.equal(value, 'done', `the driver says ${value} to ${command}`);
}

let answers = null;

/** Messages of the socket, as they go by: { sent, received }, each parsed, or the bytes of a frame. */
export function listenToSocket(page) {
  const heard = { sent: [], received: [], frames: [] };
  page.on('websocket', (socket) => {
    socket.on('framesent', ({ payload }) => heard.sent.push(JSON.parse(payload)));
    socket.on('framereceived', ({ payload }) => {
      if (typeof payload === 'string') {
        heard.received.push(JSON.parse(payload));
      } else {
        heard.frames.push({ camera: payload.readUInt32LE(4), number: Number(payload.readBigUInt64LE(16)), bytes: payload.length });
      }
    });
  });
  return heard;
}

/** Puts the page's document out of sight, or back, as a browser does with another tab in front. */
export async function setHidden(page, isHidden) {
  await page.evaluate((isHidden) => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => (isHidden ? 'hidden' : 'visible') });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);
}
