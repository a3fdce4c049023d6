/* The high-water mark: a slider slows two receivers, and the queues fill. */

'use strict';

{
const LANES = ['PUSH', 'PUB'];
const FALL = 0.6; // seconds for which a dropped message is seen to fall

function stateAt(events, t) {
  const state = {
    total: 0, made: 0, again: 0, lost: 0, said: '', isOver: false,
    mark: 8, rates: [], rate: null,
    lanes: Object.fromEntries(LANES.map((name) => [
      name, { queue: [], falls: [], made: 0, lost: 0, known: 0, put: 0 }])),
  };
  for (const event of events) {
    if (event.t > t) break;
    const lane = state.lanes[event.lane];
    switch (event.kind) {
      case 'begin':
        state.mark = event.mark;
        break;
      case 'crew':
        state.rates = Object.keys(event.workers)
          .sort((one, other) => other - one);
        state.rate = state.rates[0];
        break;
      case 'slow':
        state.rate = event.rate;
        break;
      case 'sent':
        state.total += 1;
        lane.waits = false;
        if (lane.put - lane.known < state.mark) {
          lane.put += 1;
          lane.queue.push(event.number);
        } else {
          lane.falls.push({ number: event.number, since: event.t });
        }
        break;
      case 'waits':
        lane.waits = true;
        break;
      case 'made':
        state.made += 1;
        state.lost += event.lost;
        lane.made += 1;
        // A queue tells its sender only when half of it has been read.
        if (lane.made % (state.mark / 2) === 0) lane.known = lane.made;
        lane.lost += event.lost;
        lane.took = { number: event.number, since: event.t };
        lane.queue = lane.queue.filter((each) => each > event.number);
        break;
      case 'over':
        Object.assign(state, {
          made: event.made, lost: event.lost, total: event.total,
          isOver: true,
        });
        break;
    }
  }
  return state;
}

class Marks extends Drawing {
  verb = 'slow';

  constructor(svg) {
    super(svg, [], `
      <text class="say left" x="20" y="56"><tspan data-count="made">0</tspan>
        of <tspan data-count="total">0</tspan> received</text>
      <text class="left" x="400" y="56"><tspan data-count="lost">0</tspan>
        lost, <tspan data-count="again">0</tspan> sent again</text>
      <text class="note right" x="560" y="488">receivers: fast</text>
      <text class="note left" x="1080" y="488">slow</text>
      <foreignObject x="580" y="450" width="480" height="56">
        <input type="range" min="0" max="3" step="1" value="0"
          data-action="slow" aria-label="how slow the receivers are">
      </foreignObject>`, [564, 452]);
    this.slots = [...svg.querySelectorAll('.slot')];
    this.slider = svg.querySelector('input');
    this.rates = [];
    this.receivers = nodesOf(svg).filter(
      (node) => nameOf(node).textContent === 'receiver');
  }

  /* The slider asks for a rate; the drawing follows when it was told. */
  hearClicks(click) {
    this.slider.addEventListener('change', () => {
      if (this.rates.length) click(this.rates[+this.slider.value]);
      this.slider.blur();
    });
  }

  stateAt(events, t) {
    return stateAt(events, t);
  }

  draw(state) {
    super.draw(state);
    this.rates = state.rates;
    if (document.activeElement !== this.slider) {
      this.slider.value = Math.max(0, state.rates.indexOf(state.rate));
    }
    const tokens = [];
    LANES.forEach((name, row) => {
      const { queue, falls, took, waits, lost } = state.lanes[name];
      const slots = this.slots.slice(8 * row, 8 * row + 8).reverse();
      const y = +slots[0].getAttribute('y') + 32;
      const middle = (index) => +slots[index].getAttribute('x') + 26;
      queue.forEach((number, index) => tokens.push(
        token(number, middle(index), y)));
      for (const { number, since } of falls) {
        const fallen = (state.t - since) / FALL;
        if (fallen < 1) {
          tokens.push(token(number, 314, y + 20 + 120 * fallen, 'dropped'));
        }
      }
      if (took && state.t - took.since < FLIGHT) {
        const way = (state.t - took.since) / FLIGHT;
        tokens.push(token(took.number, 812 + 36 * way, y));
      }
      if (waits) {
        const why = queue.length < state.mark
          ? 'send() waits until half is free' : 'full: send() waits';
        tokens.push(word(why, 'ok', 564, y + 74));
      }
      if (lost) {
        tokens.push(word(`full: ${lost} dropped`, 'bad', 564, y + 74));
      }
      const rate = state.rate ? `${state.rate} a second` : 'receives';
      put(this.receivers[row].querySelector('.sub'), rate);
    });
    this.showTokens(tokens);
  }
}

SHOWS.marks = Marks;
}
