'use strict';
// An HTTP server with hyco-https. It answers with a description of the request. The query may ask for another `status`
// and `reason`, for a body of `size` bytes instead, in so many `fragments`, or for `empty`: none at all.
// Events: token (it made one), listening, failed.

const crypto = require('crypto');
const { options, host, reroute, tokenFor, say, obey, whole } = require('./script');
const https = require('hyco-https');

const address = https.createRelayListenUri(host, options.path);

function token() {
  say('token');
  return tokenFor(https, address);
}

function answer(request, response) {
  const asked = new URL(request.url, 'http://relay').searchParams;
  whole(request, (body) => {
    response.statusCode = Number(asked.get('status') || 200);
    if (asked.has('reason')) response.statusMessage = asked.get('reason');
    response.setHeader('X-From-Listener', 'hyco-https');
    if (asked.has('empty')) {
      response.end();
    } else if (asked.has('size')) {
      const fragments = Number(asked.get('fragments') || 1);
      const fragment = Buffer.alloc(Number(asked.get('size')) / fragments, 'r');
      for (let sent = 1; sent < fragments; sent++) response.write(fragment);
      response.end(fragment);
    } else {
      const sha256 = crypto.createHash('sha256').update(body).digest('hex');
      const { method, url, headers } = request;
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify({ method, url, headers, size: body.length, sha256 }));
    }
  });
}

const server = https.createRelayedServer({ server: reroute(address), token }, answer);
server.on('listening', () => say('listening'));
server.on('error', (error) => say('failed', { error: String(error.message || error) }));
server.listen();
obey({ close: () => server.close() });
