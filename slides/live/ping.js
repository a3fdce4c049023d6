/* Ping-pong: three clients, and a server that a click kills. */

'use strict';

{
const SOON = 0.6; // seconds of waiting that nobody need see

function stateAt(events, t) {
  const state = {
    total: 0, made: 0, again: 0, lost: 0, said: '', isOver: false,
    flights: [], clients: {}, isDead: false, timeout: 0,
  };
  for (const event of events) {
    if (event.t > t) break;
    const { number, client: name } = event;
    const client = state.clients[name] ??= { sockets: 0, number: 0 };
    switch (event.kind) {
      case 'begin':
        Object.assign(state, { total: event.total, timeout: event.timeout });
        break;
      case 'crew':
        state.isDead = !event.workers.server;
        if (!state.isDead) {
          const what = state.said ? 'a new server' : 'the server';
          state.said = `${what} (pid ${event.workers.server})`;
        }
        break;
      case 'socket':
        client.sockets += 1;
        client.isAgain = event.again;
        if (event.again) client.since = event.t;
        break;
      case 'sent':
        Object.assign(client, { number, since: event.t, isAgain: false });
        break;
      case 'silent':
        client.since = null;
        break;
      case 'made':
        state.made += 1;
        state.again += event.again ? 1 : 0;
        client.since = null;
        client.pong = Math.max(event.t, (client.ping ?? 0) + FLIGHT);
        break;
      case 'kill':
        state.isDead = true;
        state.said = `SIGKILL server (pid ${event.pid})`;
        break;
      case 'over':
        Object.assign(state, {
          made: event.made, again: event.again, lost: event.lost,
          said: '', isOver: true,
        });
        break;
    }
    if (client.since === event.t) client.ping = event.t;
  }
  delete state.clients.undefined;
  for (const [name, client] of Object.entries(state.clients)) {
    const fly = (way) => state.flights.push(
      { number: client.number, wire: name - 1, way, hollow: client.isAgain });
    const there = (t - client.ping) / FLIGHT;
    const back = (t - client.pong) / FLIGHT;
    if (there < 1) fly(there);
    else if (back >= 0 && back < 1) fly(1 - back);
    client.waits = client.since == null ? null : t - client.since;
  }
  return state;
}

class PingPong extends Drawing {
  constructor(svg) {
    const nodes = nodesOf(svg);
    const server = nodes.find((node) => nameOf(node).textContent === 'server');
    super(svg, [server], `
      <text class="say left" x="20" y="48"><tspan data-count="made">0</tspan>
        of <tspan data-count="total">0</tspan> pongs</text>
      <text class="left" x="400" y="48"><tspan data-count="again">0</tspan>
        asked again, <tspan data-count="lost">0</tspan> lost</text>`);
    this.clients = nodes.filter((node) => node !== server);
    this.sockets = [...svg.querySelectorAll('.socket.connect')];
    this.call(server, 'server');
  }

  stateAt(events, t) {
    return stateAt(events, t);
  }

  draw(state) {
    super.draw(state);
    const [server] = this.targets;
    server.classList.toggle('harm', state.isDead);
    put(server.querySelector('.sub'), state.isDead ? 'killed' : 'binds');
    this.clients.forEach((node, index) => {
      const client = state.clients[index + 1];
      const isLate = client?.waits > SOON;
      let doing = client?.number ? `ping ${client.number}` : 'connects';
      if (isLate) {
        const left = Math.max(0, state.timeout - client.waits);
        doing = `waits ${left.toFixed(1)} s`;
      }
      put(node.querySelector('.sub'), doing);
      node.classList.toggle('foreign', isLate);
      const count = client?.sockets ?? 1;
      put(this.sockets[index].querySelector('text'),
        count > 1 ? `REQ ${count}` : 'REQ');
    });
    this.showTokens(state.flights.map((each) => this.flying(each)));
  }
}

SHOWS.ping = PingPong;
}
