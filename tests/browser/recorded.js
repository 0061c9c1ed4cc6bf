// Recordings play in a browser as any other film does: all of their frames, each at the time that it was taken at, and from any point.
//
// SDVR_RECORDED is the files, in JSON: where each is, how large its pictures are and when each is shown, in seconds.

import assert from 'node:assert/strict';
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { PATIENCE_MS, run } from './support.js';

const FILES = JSON.parse(process.env.SDVR_RECORDED);
/** What a browser makes of a time: it counts in microseconds, and so do the files. */
const ROUNDED_S = 0.000_01;

const server = createServer((request, response) => {
  const file = FILES[Number(request.url.slice(1))];
  if (file === undefined) {
    response.writeHead(request.url === '/favicon.ico' ? 204 : 200, { 'Content-Type': 'text/html' });
    response.end('<!doctype html><title>Recorded</title><video muted></video>');
    return;
  }
  const { size } = statSync(file.path);
  // Players ask for the end of a file first.
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? 'bytes=0-');
  const [start, end] = [Number(from), to === '' ? size - 1 : Math.min(Number(to), size - 1)];
  response.writeHead(206, {
    'Accept-Ranges': 'bytes',
    'Content-Length': end - start + 1,
    'Content-Range': `bytes ${start}-${end}/${size}`,
    'Content-Type': 'video/mp4',
  });
  createReadStream(file.path, { start, end }).pipe(response);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address();

await run(async ({ context }) => {
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${port}/`);
  for (const [index, file] of FILES.entries()) {
    const seen = await page.evaluate(play, { url: `/${index}`, patience: PATIENCE_MS });
    assert.equal(seen.error, undefined, file.path);
    assert.deepEqual(seen.size, file.size, file.path);
    assert.equal(seen.frames, file.times.length, `${file.path}: frames that were decoded`);
    // A busy machine does not show all of them.
    assert.ok(seen.shown.length >= 5, `${file.path}: ${seen.shown.length} were shown`);
    for (const shown of seen.shown) {
      const nearest = Math.min(...file.times.map((time) => Math.abs(time - shown)));
      assert.ok(nearest <= ROUNDED_S, `${file.path}: a frame is shown at ${shown} s, and none was taken then`);
    }
    const middle = file.times[Math.floor(file.times.length / 2)];
    assert.equal(await page.evaluate(seek, middle), middle, file.path);
  }
});

/** In the page: plays a file to its end. */
async function play({ url, patience }) {
  const video = document.querySelector('video');
  const shown = [];
  const look = (_, { mediaTime }) => {
    shown.push(mediaTime);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  const error = await new Promise((resolve) => {
    video.onended = () => resolve(undefined);
    video.onerror = () => resolve(video.error.message);
    setTimeout(() => resolve(`not at its end after ${patience} ms, at ${video.currentTime} s`), patience);
    video.src = url;
    video.play().catch((reason) => resolve(String(reason)));
  });
  return {
    error,
    size: [video.videoWidth, video.videoHeight],
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
    shown: [...new Set(shown)],
  };
}

/** In the page: goes to a time; gives where that is. */
async function seek(time) {
  const video = document.querySelector('video');
  await new Promise((resolve) => {
    video.onseeked = resolve;
    video.currentTime = time;
  });
  return video.currentTime;
}
