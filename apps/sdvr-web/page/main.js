// Joins the parts of the page: what the server says goes to the cameras, what can be seen decides what is watched.

import { Announcer } from './announcer.js';
import { Cameras } from './cameras.js';
import { ServerClock } from './clock.js';
import { Connection } from './connection.js';
import { supportedKinds } from './kinds.js';
import { LargeView } from './large.js';
import { MissingView } from './missing.js';
import { Mosaic } from './mosaic.js';
import { Painter } from './painter.js';
import { Router } from './router.js';
import { Shown } from './shown.js';
import { Watching } from './watching.js';

const byId = (id) => document.getElementById(id);

const announcer = new Announcer(byId('announcements'), byId('message'));
const clock = new ServerClock();
const cameras = new Cameras();
const connection = new Connection({ opened, lost, message, frame });
const shown = new Shown((frames) => connection.send({ type: 'shown', frames }));
const painter = new Painter(clock, shown);
const watching = new Watching({ connection, painter, kinds: await supportedKinds() });
const mosaic = new Mosaic({ cameras, watching, elements: pick('mosaic', 'empty', 'empty-heading', 'nothing-found', 'filter', 'filter-field', 'count') });
const large = new LargeView({ cameras, watching, announcer, elements: pick('large', 'mosaic-view') });
const missing = new MissingView(pick('missing', 'missing-heading'));
const router = new Router({ cameras, showLarge, showMosaic, showMissing });

function pick(...ids) {
  return Object.fromEntries(ids.map((id) => [id, byId(id)]));
}

function opened() {
  clock.start((sent) => connection.send({ type: 'ping', sent }));
  cameras.expectAll();
}

function lost() {
  clock.stop();
  shown.forget();
  watching.forget();
  cameras.becomeUnknown();
  if (byId('connection').hidden) {
    announcer.say('The connection to the server is lost.');
  }
  byId('connection').hidden = false;
  document.body.classList.add('is-disconnected');
  mosaic.connectionLost();
}

const HANDLERS = {
  hello(said) {
    clock.begin(said.now_us);
    if (!byId('connection').hidden) {
      announcer.say('The server is there again.');
    }
    byId('connection').hidden = true;
    document.body.classList.remove('is-disconnected');
  },
  pong: (said) => clock.handlePong(said.sent, said.now_us),
  cameras(said) {
    const { came, changed, gone } = cameras.update(said.changed ?? [], said.gone ?? []);
    // Before new ones: a camera that came back under another number is the same to those who look.
    for (const camera of gone) {
      watching.remove(camera);
    }
    watching.resume(cameras);
    mosaic.update(came, changed, gone);
    large.update(changed);
    announcer.camerasChanged(came, changed, gone);
    router.follow();
  },
  stream(said) {
    shown.begin(said);
    watching.handleStream(said);
  },
  trouble: (said) => watching.handleTrouble(said),
  figures(said) {
    for (const figures of said.figures) {
      const camera = cameras.byNumber(figures.camera);
      if (camera) {
        camera.figures = figures;
        camera.tell('figures');
      }
    }
  },
};

function message(said) {
  const handler = Object.hasOwn(HANDLERS, said.type) ? HANDLERS[said.type] : undefined;
  if (handler === undefined) {
    throw new Error(`the server says what this page does not know: ${said.type}`);
  }
  handler(said);
}

function frame(received) {
  watching.handleFrame(received);
}

function showLarge(camera) {
  missing.hide();
  large.show(camera);
}

function showMissing(name) {
  large.hide();
  byId('mosaic-view').hidden = true;
  missing.show(name);
}

function showMosaic() {
  const shownBefore = large.hide();
  missing.hide();
  byId('mosaic-view').hidden = false;
  document.title = 'SDVR';
  mosaic.show(shownBefore);
}

// A page that nobody sees watches nothing; when it is seen again, it begins with what is newest.
function documentChanged() {
  watching.setDocumentSeen(document.visibilityState === 'visible');
  if (document.visibilityState === 'visible') {
    clock.forget();
    connection.tryNow();
  }
}

document.addEventListener('visibilitychange', documentChanged);
window.addEventListener('online', () => connection.tryNow());
byId('full-screen').hidden = !document.fullscreenEnabled;
byId('full-screen').addEventListener('click', () => {
  if (document.fullscreenElement) {
    document.exitFullscreen();
  } else {
    document.documentElement.requestFullscreen().catch(() => announcer.show('This browser does not allow full screen.'));
  }
});

// For those who measure, by the names that people see.
window.sdvr = {
  /** Of each frame that was painted lately: its number, when it was captured and painted (microseconds of the server's clock), and its kind. */
  measurements: (label) => cameras.byLabel(label)?.screen?.measurements() ?? [],
  /** What is known of each camera. */
  cameras: () => cameras.all().map(({ label, state, number }) => ({ label, state, camera: number })),
  /** How the server's clock lies to the page's, and by how much that can be wrong; microseconds. */
  clock: () => ({ offset: clock.offsetMicros, error: clock.errorMicros }),
};

documentChanged();
connection.open();
router.start();
