/* The image pipeline: messages fly along its wires, a click kills a worker. */

'use strict';

{
const DEAD = 1; // seconds for which a dead worker is seen to be dead

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

/* A new worker takes the place of one that is gone. */
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

class Pipeline extends Drawing {
  constructor(svg) {
    const workers = nodesOf(svg).filter(
      (node) => /^\w+ \d+$/.test(nameOf(node).textContent));
    super(svg, workers, `
      <text class="say left" x="20" y="56"><tspan data-count="made">0</tspan>
        of <tspan data-count="total">0</tspan> made</text>
      <text class="left" x="20" y="98"><tspan data-count="again">0</tspan>
        sent again, <tspan data-count="lost">0</tspan> lost</text>
      <g class="owed"></g>`);
  }

  stateAt(events, t) {
    return stateAt(events, t);
  }

  draw(state) {
    super.draw(state);
    const tokens = state.flights.map((each) => this.flying(each));
    this.targets.forEach((node, index) => {
      const place = state.slots[index];
      const name = place?.name ?? `worker ${index + 1}`;
      put(nameOf(node), name);
      this.call(node, name, 'kill');
      node.classList.toggle('harm', Boolean(place?.dead));
      const y = +node.querySelector('rect').getAttribute('y') + 78;
      if (place?.dead) {
        tokens.push(word('killed', 'bad', 600, y));
      } else if (place?.holds) {
        tokens.push(token(place.holds, 600, y, place.isAgain));
      }
    });
    this.showTokens(tokens);
    const owed = [...state.owed];
    const few = owed.slice(0, owed.length > 3 ? 2 : 3).map(
      (number, index) => token(number, 66 + 60 * index, 172, true));
    if (owed.length > 3) few.push(word(`+${owed.length - 2}`, 'ok', 210, 172));
    put(this.svg.querySelector('.owed'), few.join(''), 'innerHTML');
    this.svg.dataset.owed = owed.join(' ');
  }
}

SHOWS['pipeline-tcp'] = SHOWS['pipeline-inproc'] = Pipeline;
}
