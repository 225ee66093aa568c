'use strict';
// Senders with hyco-ws.
//   connect {name, token: "header" | "query", protocol?, text? | base64?}: joins a listener, then sends that frame
//   close {name, code, reason}
// Events: open, refused (the handshake got another answer than 101), failed, message, closed.

const { options, host, reroute, tokenFor, say, obey, told, meant, whole } = require('./script');
const WebSocket = require('hyco-ws');

const senders = {};

function connect({ name, token, protocol, ...frame }) {
  const plain = WebSocket.createRelaySendUri(host, options.path);
  const address = WebSocket.createRelaySendUri(
    host, options.path, token === 'query' ? tokenFor(WebSocket, plain) : null);
  const header = token === 'header' ? tokenFor(WebSocket, plain) : null;
  // relayedConnect has no argument for subprotocols: then the class beneath it, as it uses it.
  const sender = protocol
    ? new WebSocket(reroute(address), protocol, { headers: { ServiceBusAuthorization: header } })
    : WebSocket.relayedConnect(reroute(address), header);
  senders[name] = sender;
  sender.on('open', () => {
    say('open', { name, protocol: sender.protocol || null });
    const data = meant(frame);
    if (data !== undefined) sender.send(data);
  });
  sender.on('unexpected-response', (request, response) =>
    whole(response, (body) =>
      say('refused', { name, status: response.statusCode, reason: response.statusMessage, body: body.toString() })));
  sender.on('error', (error) => say('failed', { name, error: String(error.message || error) }));
  sender.on('message', (data) => say('message', { name, ...told(data) }));
  sender.on('close', (code, reason) => say('closed', { name, code, reason }));
}

obey({ connect, close: ({ name, code, reason }) => senders[name].close(code, reason) });
say('ready');
