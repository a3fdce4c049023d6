/* Plugins: a click calls one, and one of four outcomes lights up. */

'use strict';

{
const KINDS = {
  reply: 'ok', crashed: 'bad', 'protocol error': 'warn', timeout: 'bad',
  unavailable: 'warn',
};
const BACK_SEEN = 2; // seconds for which a new process is told apart

function stateAt(events, t) {
  const state = {
    total: 0, made: 0, again: 0, lost: 0, said: '', isOver: false,
    rows: new Map(), flights: [],
  };
  for (const event of events) {
    if (event.t > t) break;
    const row = state.rows.get(event.worker);
    switch (event.kind) {
      case 'crew':
        for (const [name, pid] of Object.entries(event.workers)) {
          state.rows.set(name, { pid });
        }
        break;
      case 'call':
        state.total += 1;
        state.said = '';
        Object.assign(row, {
          called: event.t, until: event.t + event.timeout, outcome: null,
        });
        break;
      case 'outcome':
        state.made += event.outcome === 'reply' ? 1 : 0;
        state.lost += event.outcome === 'reply' ? 0 : 1;
        state.said = event.why === '42' ? '' : event.why;
        Object.assign(row, {
          outcome: event.outcome, ms: event.ms,
          told: Math.max(event.t, row.called + FLIGHT),
          pid: event.outcome === 'reply' ? row.pid : null,
        });
        break;
      case 'back':
        state.again += 1;
        Object.assign(row, { pid: event.pid, back: event.t });
        break;
      case 'over':
        Object.assign(state, {
          made: event.made, again: event.again, lost: event.lost,
          total: event.total, said: '', isOver: true,
        });
        break;
    }
  }
  [...state.rows.values()].forEach((row, wire) => {
    const there = (t - row.called) / FLIGHT;
    const back = (t - row.told) / FLIGHT;
    if (there >= 0 && there < 1) {
      state.flights.push({ number: '?', wire, way: there });
    } else if (row.outcome === 'reply' && back >= 0 && back < 1) {
      state.flights.push({ number: 42, wire, way: 1 - back });
    } else if (row.outcome === 'protocol error' && back >= 0 && back < 1) {
      state.flights.push({ number: '!', wire, way: 1 - back, hollow: true });
    }
    row.isTold = row.outcome && t >= row.told;
    row.waits = row.called != null && !row.outcome && there >= 1
      ? Math.max(0, row.until - t) : null;
    row.isNew = row.back != null && t - row.back < BACK_SEEN;
  });
  return state;
}

class Plugins extends Drawing {
  verb = 'call';

  constructor(svg) {
    const [, ...plugins] = nodesOf(svg);
    super(svg, plugins, `
      <text class="say left" x="420" y="64"><tspan data-count="made">0</tspan>
        of <tspan data-count="total">0</tspan> answered</text>
      <text class="left" x="760" y="64"><tspan data-count="lost">0</tspan>
        failed, <tspan data-count="again">0</tspan> started again</text>`,
      [780, 514]);
    svg.querySelector('.note').remove();
    ['ask', 'crash', 'lie', 'hang'].forEach((name, index) => {
      put(nameOf(plugins[index]), name);
      this.call(plugins[index], name);
    });
  }

  stateAt(events, t) {
    return stateAt(events, t);
  }

  draw(state) {
    super.draw(state);
    const tokens = state.flights.map((each) => this.flying(each));
    this.targets.forEach((node, index) => {
      const row = state.rows.get(node.dataset.worker);
      const y = +node.querySelector('rect').getAttribute('y') + 42;
      const isDead = Boolean(row?.isTold && !row.pid);
      node.classList.toggle('harm', isDead);
      node.classList.toggle('good', Boolean(row?.isNew));
      if (row?.isTold) {
        const kind = KINDS[row.outcome];
        tokens.push(word(row.outcome, kind, 166, y - 17),
          word(`${row.ms} ms`, kind, 166, y + 17));
      }
      if (row?.waits != null) {
        tokens.push(word(`${row.waits.toFixed(1)} s left`, 'warn', 1040, y));
      } else if (isDead) {
        tokens.push(word('ended', 'bad', 1040, y));
      } else if (row?.pid) {
        tokens.push(word(`pid ${row.pid}`, row.isNew ? 'ok' : 'note', 1040, y));
      }
    });
    this.showTokens(tokens);
  }
}

SHOWS.plugins = Plugins;
}
