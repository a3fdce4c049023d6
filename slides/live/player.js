/* Plays a show into the drawing of its slide.

   What is seen is a function of the events and of one moment: `stateAt`
   folds the events up to `t`, `draw` shows that. Whether the events come
   from a run that is on, over the stream of `slides serve`, or from the
   recording in the page, makes no difference to either of them. */

'use strict';

const FLIGHT = 0.5; // seconds, of a message along a wire
const DEAD = 1; // seconds for which a dead worker is seen to be dead
const BEHIND = 0.2; // seconds between what happened and what is shown
const BACK = 40; // one step of a message on its way, of its wire's end

function stateAt(events, t) {
  const state = {
    total: 0, made: 0, again: 0, lost: 0, said: '', isOver: false,
    slots: [], owed: new Set(), flights: [],
  };
  const slotOf = {};
  const holds = {};
  const resent = new Set();
  for (const event of events) {
    if (event.t > t) break;
    const { number, worker } = event;
    const slot = slotOf[worker];
    const fly = (wire, begins, hollow) => {
      const way = (t - begins) / FLIGHT;
      if (way >= 0 && way < 1) {
        state.flights.push({ number, wire, way, hollow });
      }
    };
    switch (event.kind) {
      case 'begin':
        state.total = event.total;
        break;
      case 'crew':
        enter(state, slotOf, event);
        break;
      case 'sent':
        if (event.again) {
          resent.add(number);
          state.owed.add(number);
        }
        break;
      case 'started': {
        const begins = seenFrom(state.slots[slot], worker, event.t);
        state.owed.delete(number);
        holds[worker] = { number, since: begins + FLIGHT };
        fly(slot, begins, resent.has(number));
        if (resent.has(number)) state.said = `image ${number}: ${worker}`;
        break;
      }
      case 'made':
        state.made += 1;
        state.again += event.again ? 1 : 0;
        state.owed.delete(number);
        if (holds[worker]?.number === number) delete holds[worker];
        fly(3 + slot, event.t, event.again);
        fly(6, event.t + FLIGHT, event.again);
        break;
      case 'kill':
        state.slots[slot].dead ??= event.t;
        if (holds[worker]) state.owed.add(holds[worker].number);
        delete holds[worker];
        state.said = `SIGKILL ${worker} (pid ${event.pid})`;
        break;
      case 'refused':
        state.said = event.why;
        break;
      case 'over':
        Object.assign(state, {
          made: event.made, again: event.again, lost: event.lost,
          said: '', isOver: true,
        });
        break;
    }
  }
  for (const place of state.slots) {
    if (place.next && t >= place.dead + DEAD) {
      Object.assign(place, { name: place.next, dead: null, next: null });
    }
    const held = holds[place.name];
    place.holds = held && t >= held.since ? held.number : null;
    place.isAgain = resent.has(place.holds);
  }
  return state;
}

/* Whoever is new takes the place of somebody who is gone. */
function enter(state, slotOf, { t, workers }) {
  for (const place of state.slots) {
    const last = place.next ?? place.name;
    if (!(last in workers)) {
      if (place.next) place.name = place.next; // it too has died
      place.next = null;
      place.dead ??= t;
    }
  }
  for (const name of Object.keys(workers)) {
    if (name in slotOf) continue;
    const free = state.slots.findIndex((each) => each.dead && !each.next);
    if (free >= 0) state.slots[free].next = name;
    slotOf[name] = free >= 0
      ? free : state.slots.push({ name, dead: null, next: null }) - 1;
  }
}

/* Nothing flies to a place where the dead one is still to be seen. */
function seenFrom(place, worker, t) {
  return place.next === worker ? Math.max(t, place.dead + DEAD) : t;
}

class Stage {
  constructor(figure) {
    this.svg = figure.querySelector('svg');
    this.wires = [...this.svg.querySelectorAll('path.wire')];
    this.nodes = [...this.svg.querySelectorAll('.node')].filter(
      (node) => /^\w+ \d+$/.test(node.querySelector('.name').textContent));
    this.svg.insertAdjacentHTML('beforeend', `
      <text class="say left" x="20" y="56"><tspan data-count="made">0</tspan>
        of <tspan data-count="total">0</tspan> made</text>
      <text class="left" x="20" y="98"><tspan data-count="again">0</tspan>
        sent again, <tspan data-count="lost">0</tspan> lost</text>
      <text class="said strong" x="600" y="508"></text>
      <g class="owed"></g><g class="tokens"></g>`);
    this.svg.setAttribute('role', 'group');
    for (const node of this.nodes) {
      node.setAttribute('role', 'button');
      node.setAttribute('tabindex', '0');
    }
  }

  draw(state) {
    for (const name of ['made', 'total', 'again', 'lost']) {
      put(this.svg.querySelector(`[data-count="${name}"]`), state[name]);
    }
    put(this.svg.querySelector('.said'), state.said);
    const tokens = state.flights.map((each) => this.flying(each));
    this.nodes.forEach((node, index) => {
      const place = state.slots[index];
      const name = place?.name ?? `worker ${index + 1}`;
      put(node.querySelector('.name'), name);
      node.dataset.worker = name;
      node.setAttribute('aria-label', `kill ${name}`);
      node.classList.toggle('harm', Boolean(place?.dead));
      const box = node.querySelector('rect');
      const y = +box.getAttribute('y') + 78;
      if (place?.dead) {
        tokens.push(`<text class="bad strong" x="600" y="${y + 10}">` +
          'killed</text>');
      } else if (place?.holds) {
        tokens.push(token(place.holds, 600, y, place.isAgain));
      }
    });
    put(this.svg.querySelector('.tokens'), tokens.join(''), 'innerHTML');
    const owed = [...state.owed];
    const few = owed.slice(0, owed.length > 3 ? 2 : 3).map(
      (number, index) => token(number, 66 + 60 * index, 172, true));
    if (owed.length > 3) {
      few.push(`<text class="ok strong" x="194" y="182">+${
        owed.length - 2}</text>`);
    }
    put(this.svg.querySelector('.owed'), few.join(''), 'innerHTML');
    this.svg.dataset.owed = owed.join(' ');
  }

  flying({ number, wire, way, hollow }) {
    const path = this.wires[wire];
    const { x, y } = path.getPointAtLength(
      BACK / 2 + (path.getTotalLength() - BACK) * way);
    return token(number, x, y, hollow);
  }
}

function token(number, x, y, isAgain) {
  return `<g class="message${isAgain ? ' again' : ''}" data-token="${number}"
    transform="translate(${x.toFixed(1)} ${y.toFixed(1)})">
    <rect x="-24" y="-24" width="48" height="48" rx="12"/>
    <text y="10">${number}</text></g>`;
}

function put(element, value, where = 'textContent') {
  if (element[where] !== String(value)) element[where] = value;
}

class Show {
  constructor(figure, isServed) {
    this.name = figure.dataset.show;
    this.trace = JSON.parse(figure.querySelector('script').textContent);
    this.stage = new Stage(figure);
    this.isServed = isServed;
    this.t = 0;
    this.events = [];
    this.addControls(figure.closest('.slide'));
    for (const node of this.stage.nodes) {
      const kill = () => this.kill(node.dataset.worker);
      node.addEventListener('click', kill);
      node.addEventListener('keydown', (event) => {
        if (event.key === 'Enter') kill();
      });
    }
    figure.classList.add('playing');
  }

  addControls(slide) {
    slide.insertAdjacentHTML('beforeend', `<div class="show-bar">
      <button type="button" data-action="start">Start</button>
      <button type="button" data-action="pause">Pause</button>
      <button type="button" data-action="restart">Restart</button>
      <input type="range" min="0" step="0.01" value="0" data-action="scrub"
        aria-label="moment of the show">
      <span class="mode" aria-live="polite"></span></div>`);
    this.controls = slide.querySelector('.show-bar');
    this.bar = this.controls.querySelector('input');
    const actions = {
      start: () => this.start(),
      restart: () => this.start(),
      pause: () => { this.isPlaying = !this.isPlaying; },
    };
    this.controls.addEventListener('click', ({ target, detail }) => {
      actions[target.dataset.action]?.();
      if (detail) target.blur(); // the keys are those of the slides
    });
    this.bar.addEventListener('input', () => {
      this.isPlaying = false;
      this.t = +this.bar.value;
      this.draw();
    });
    this.bar.addEventListener('change', () => this.bar.blur());
  }

  get isLive() {
    return Boolean(this.stream);
  }

  /* How far one can look: to now, or to the end of what is over. */
  get end() {
    const last = this.events.at(-1);
    if (!last) return 0;
    const end = last.t + 2 * FLIGHT + DEAD;
    if (!this.isLive || last.kind === 'over') return end;
    return Math.max(0, performance.now() / 1000 - this.zero - BEHIND);
  }

  enter() {
    this.isHere = true;
    if (this.isServed) {
      this.listen();
    } else {
      this.replay();
    }
    this.moment = performance.now();
    requestAnimationFrame((now) => this.frame(now));
  }

  leave() {
    this.isHere = false;
    this.stream?.close();
    this.stream = null;
  }

  replay() {
    this.events = this.trace.events;
    this.t = 0;
    this.isPlaying = true;
  }

  listen() {
    this.events = [];
    this.run = -1;
    this.isPlaying = true;
    this.stream = new EventSource(`live/${this.name}`);
    this.stream.onmessage = ({ data }) => this.hear(JSON.parse(data));
    this.stream.onerror = () => {
      this.isServed = false; // it has ended, or a proxy is in between
      this.leave();
      this.enter();
    };
  }

  hear({ run, now, events }) {
    this.zero = performance.now() / 1000 - now;
    if (run !== this.run) {
      this.events = [];
      this.run = run;
      this.t = events.length > 3 ? now : 0; // opened late: join in
      this.isPlaying = true;
    }
    this.events.push(...events);
  }

  start() {
    if (this.isLive) {
      this.post('start');
    } else {
      this.replay();
    }
  }

  kill(worker) {
    if (this.isLive) this.post(`kill?worker=${encodeURIComponent(worker)}`);
  }

  post(what) {
    fetch(`live/${this.name}/${what}`,
      { method: 'POST', headers: { 'X-Live': '1' } }).catch(() => {});
  }

  frame(now) {
    if (!this.isHere) return;
    if (this.isPlaying) this.t += (now - this.moment) / 1000;
    this.moment = now;
    this.t = Math.min(this.t, this.end);
    this.draw();
    requestAnimationFrame((next) => this.frame(next));
  }

  draw() {
    const state = stateAt(this.events, this.t);
    if (this.isLive && !this.events.length) {
      state.said = 'press Start: the processes are real';
    }
    this.stage.draw(state);
    this.bar.max = this.end;
    if (document.activeElement !== this.bar) this.bar.value = this.t;
    const mode = this.controls.querySelector('.mode');
    mode.classList.toggle('live', this.isLive);
    put(mode, this.isLive ? 'live' : `recorded on ${this.trace.recorded}`);
    put(this.controls.querySelector('[data-action="pause"]'),
      this.isPlaying ? 'Pause' : 'Go on');
    this.controls.dataset.over = state.isOver;
  }
}

/* The speaker's small frames, and who wants no motion, see the drawing. */
function playShows(isServed) {
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  if (still || Reveal.isSpeakerNotes()) return;
  const shows = new Map();
  let current = null;
  const turn = () => {
    const slide = Reveal.getCurrentSlide();
    const figure = slide?.querySelector('[data-show]');
    if (figure && !shows.has(slide)) {
      shows.set(slide, new Show(figure, isServed));
    }
    const next = shows.get(slide) ?? null;
    if (next === current) return;
    current?.leave();
    current = next;
    current?.enter();
  };
  Reveal.on('ready', turn);
  Reveal.on('slidechanged', turn);
}
