/* PUB/SUB: subscriptions travel upstream, news comes down to two windows. */

'use strict';

{
const LATE = 'window 2';
const WINDOWS = ['window 1', LATE];

function stateAt(events, t) {
  const state = {
    total: 0, made: 0, again: 0, lost: 0, said: '', isOver: false,
    isOpen: false, sendsLast: false, ticked: new Set(), flights: [],
    news: { 'window 1': [], 'window 2': [] },
  };
  const topicOf = {};
  const fly = (wire, begins, number, kind, isUp) => {
    const way = (t - begins) / FLIGHT;
    if (way >= 0 && way < 1) {
      state.flights.push({ wire, number, kind, way: isUp ? 1 - way : way });
    }
  };
  for (const event of events) {
    if (event.t > t) break;
    const { number, topic, on, window } = event;
    const sign = on ? '+' : '−';
    switch (event.kind) {
      case 'wants':
        fly(2 + WINDOWS.indexOf(window), event.t, sign, 'id', true);
        if (window === LATE) {
          if (!state.isOpen) state.lost = state.total;
          state.isOpen = true;
          state.said = 'window 2 wants everything';
        } else {
          state.ticked[on ? 'add' : 'delete'](topic);
          state.said = `${window} ${on ? 'wants' : 'leaves'} ${topic}`;
        }
        break;
      case 'subscribed':
        fly(0, event.t + FLIGHT, sign, 'id', true);
        fly(1, event.t + FLIGHT, sign, 'id', true);
        break;
      case 'snapshot':
        state.sendsLast = on;
        state.said = on ? 'a late window is sent the last news' : '';
        break;
      case 'passed':
        state.total += 1;
        topicOf[number] = topic;
        fly(topic.startsWith('pingpong') ? 0 : 1, event.t, number, '');
        break;
      case 'got':
        if (window !== LATE) state.made += 1;
        if (event.again) {
          state.again += 1;
          state.lost -= 1;
        }
        state.news[window].push({ number, again: event.again });
        fly(2 + WINDOWS.indexOf(window), event.t + FLIGHT, number,
          event.again);
        break;
      case 'over':
        Object.assign(state, {
          made: event.made, again: event.again, lost: event.lost,
          total: event.total, said: '', isOver: true,
        });
        break;
    }
  }
  return state;
}

class News extends Drawing {
  verb = 'tick';

  constructor(svg) {
    const nodes = nodesOf(svg);
    const late = nodes.find((node) => nameOf(node).textContent === LATE);
    const leaves = nodes.filter((node) => node.matches('.leaf'));
    super(svg, [...leaves, late], `
      <text class="say left" x="20" y="48"><tspan data-count="made">0</tspan>
        of <tspan data-count="total">0</tspan> news came</text>
      <text class="left" x="428" y="48">window 2 missed
        <tspan data-count="lost">0</tspan>, was sent
        <tspan data-count="again">0</tspan> again</text>`, [600, 504]);
    for (const node of this.targets) this.call(node, nameOf(node).textContent);
    this.windows = WINDOWS.map((name) => nodes.find(
      (node) => nameOf(node).textContent === name));
  }

  stateAt(events, t) {
    return stateAt(events, t);
  }

  draw(state) {
    super.draw(state);
    for (const node of this.targets) {
      const name = node.dataset.worker;
      const isOn = state.ticked.has(name) ||
        (name === 'snapshot' && state.sendsLast) ||
        (name === LATE && state.isOpen);
      node.classList.toggle('good', isOn);
      node.setAttribute('aria-pressed', isOn);
    }
    this.windows.forEach((node, index) => {
      const news = state.news[WINDOWS[index]];
      const isClosed = index === 1 && !state.isOpen;
      const got = isClosed ? 'click: open' : `${news.length} news`;
      put(node.querySelector('.sub'), got);
    });
    this.showTokens(state.flights.map((each) => this.flying(
      { ...each, hollow: each.kind })));
  }
}

SHOWS.news = News;
}
