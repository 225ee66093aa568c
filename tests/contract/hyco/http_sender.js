'use strict';
// HTTP senders: Node's own clients, with a token of hyco-https, which is Node's `https` and more.
//   request {name, token: "header" | "authorization" | "query", method, suffix?, headers?, text? | base64?}
// Events: response {name, status, reason, headers, text}, failed.

const http = require('http');
const { options, host, reroute, tokenFor, say, obey, meant, whole } = require('./script');
const https = require('hyco-https');

const HEADERS = { header: 'ServiceBusAuthorization', authorization: 'Authorization' };

function request({ name, token, method, suffix = '', headers = {}, ...body }) {
  const signed = tokenFor(https, https.createRelayHttpsUri(host, options.path));
  const path = options.path + suffix;
  const address = https.createRelayHttpsUri(host, path, token === 'query' ? signed : null);
  const given = HEADERS[token] ? { [HEADERS[token]]: signed, ...headers } : headers;
  (options.tls ? https : http)
    .request(reroute(address), { method, headers: given }, (response) =>
      whole(response, (text) =>
        say('response', {
          name,
          status: response.statusCode,
          reason: response.statusMessage,
          headers: response.headers,
          text: text.toString(),
        })))
    .on('error', (error) => say('failed', { name, error: String(error.message) }))
    .end(meant(body));
}

obey({ request });
say('ready');
