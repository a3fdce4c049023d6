/* Plays shows into the drawings of their slides.

   What is seen is a function of the events and of one moment: a drawing's
   `stateAt` folds the events up to `t`, its `draw` shows that. Whether the
   events come from a run that is on, over the stream of `slides serve`, or
   from the recording in the page, makes no difference to either of them.

   This file is the same for all shows. Each show's own file puts a class
   that extends `Drawing` into SHOWS. */

'use strict';

const SHOWS = {}; // drawings, by the name of their show
const FLIGHT = 0.5; // seconds, of a message along a wire
const AFTER = 2; // seconds for which the end of a show is still moving
const BEHIND = 0.2; // seconds between what happened and what is shown
const BACK = 40; // one step of a message on its way, of its wire's end
const COUNTS = ['made', 'again', 'lost', 'total'];

/* The drawing of a slide, and what is the same in all of them: counts, one
   line that says what has happened, tokens, and what can be clicked. */
class Drawing {
  verb = 'kill';

  constructor(svg, targets, words, said = [600, 508]) {
    this.svg = svg;
    this.targets = targets;
    this.wires = [...svg.querySelectorAll('path.wire')];
    svg.insertAdjacentHTML('beforeend', `${words}
      <text class="said strong" x="${said[0]}" y="${said[1]}"></text>
      <g class="tokens"></g>`);
    svg.setAttribute('role', 'group');
    for (const node of targets) {
      node.setAttribute('role', 'button');
      node.setAttribute('tabindex', '0');
    }
  }

  draw(state) {
    for (const name of COUNTS) {
      const place = this.svg.querySelector(`[data-count="${name}"]`);
      if (place) put(place, state[name]);
    }
    put(this.svg.querySelector('.said'), state.said);
  }

  /* What a click on this node is for. */
  call(node, name, verb = this.verb) {
    node.dataset.worker = name;
    node.setAttribute('aria-label', `${verb} ${name}`);
  }

  showTokens(tokens) {
    put(this.svg.querySelector('.tokens'), tokens.join(''), 'innerHTML');
  }

  /* A message on a wire; `way` is from 0 to 1, and back from 1 to 0. */
  flying({ number, wire, way, hollow }) {
    const path = this.wires[wire];
    const { x, y } = path.getPointAtLength(
      BACK / 2 + (path.getTotalLength() - BACK) * way);
    return token(number, x, y, hollow);
  }
}

/* `kind` is '', or true and 'again' for what is sent once more. */
function token(number, x, y, kind) {
  const more = kind === true ? 'again' : kind || '';
  return `<g class="message ${more}" data-token="${number}"
    transform="translate(${x.toFixed(1)} ${y.toFixed(1)})">
    <rect x="-24" y="-24" width="48" height="48" rx="12"/>
    <text y="10">${number}</text></g>`;
}

function put(element, value, where = 'textContent') {
  if (element[where] !== String(value)) element[where] = value;
}

function word(text, kind, x, y) {
  return `<text class="${kind} strong" x="${x}" y="${y + 10}">${text}</text>`;
}

function nodesOf(svg) {
  return [...svg.querySelectorAll('.node')];
}

function nameOf(node) {
  return node.querySelector('.name');
}

class Show {
  constructor(figure, isServed) {
    this.name = figure.dataset.show;
    this.trace = JSON.parse(figure.querySelector('script').textContent);
    this.drawing = new SHOWS[this.name](figure.querySelector('svg'));
    this.isServed = isServed;
    this.t = 0;
    this.events = [];
    this.addControls(figure.closest('.slide'));
    this.drawing.hearClicks?.((what) => this.click(what));
    for (const node of this.drawing.targets) {
      const click = () => {
        if (!node.matches('.harm')) this.click(node.dataset.worker);
      };
      node.addEventListener('click', click);
      node.addEventListener('keydown', (event) => {
        if (event.key === 'Enter') click();
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
    const end = last.t + AFTER;
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
    this.run = 'recorded';
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

  click(worker) {
    if (!this.isLive) return;
    const who = encodeURIComponent(worker);
    this.post(`${this.drawing.verb}?worker=${who}`);
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
    const state = { ...this.drawing.stateAt(this.events, this.t), t: this.t };
    if (this.isLive && !this.events.length) {
      state.said = 'press Start: the processes are real';
    }
    this.drawing.draw(state);
    this.bar.max = this.end;
    if (document.activeElement !== this.bar) this.bar.value = this.t;
    const mode = this.controls.querySelector('.mode');
    mode.classList.toggle('live', this.isLive);
    put(mode, this.isLive ? 'live' : `recorded on ${this.trace.recorded}`);
    put(this.controls.querySelector('[data-action="pause"]'),
      this.isPlaying ? 'Pause' : 'Go on');
    this.controls.dataset.over = state.isOver;
    this.controls.dataset.run = this.run;
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
