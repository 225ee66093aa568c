'use strict';
// A listener with the package that the option `package` names. It sends each frame back unchanged. The text
// "close <code> <reason>" makes it close that rendezvous instead.
// Events: token (it made one), listening, connection, message, closed, failed.

const { options, host, reroute, tokenFor, say, obey } = require('./script');
const hyco = require(options.package);

// hyco-https 1.4.5 calls a module that it no longer imports; without this, a WebSocket sender would end its process.
if (options.package === 'hyco-https') global.Extensions = { parse: () => ({}) };

const address = hyco.createRelayListenUri(host, options.path);

function token() {
  say('token');
  return tokenFor(hyco, address);
}

function serve(rendezvous) {
  say('connection');
  rendezvous.on('message', (data) => {
    const [word, code, reason] = String(data).slice(0, 100).split(' ');
    if (word === 'close') rendezvous.close(Number(code), reason);
    else rendezvous.send(data);
  });
  rendezvous.on('close', (code, reason) => say('closed', { code, reason }));
  rendezvous.on('error', (error) => say('failed', { error: String(error.message || error) }));
}

const server = hyco.createRelayedServer({ server: reroute(address), token });
server.on('connection', serve);
server.on('listening', () => say('listening'));
server.on('error', (error) => say('failed', { error: String(error.message || error) }));
if (server.listen) server.listen(); // hyco-ws has listened since it was made
obey({ close: () => server.close() });
