'use strict';
// Shared by the scripts in this folder. Each script is one end of the hybrid connection that its argument, a JSON object,
// names. Commands come as JSON lines on stdin, events go as JSON lines to stdout; the end of stdin ends a script.

const readline = require('readline');

const options = JSON.parse(process.argv[2]);

// Microsoft's clients renew each hour, and no option changes that: here an hour lasts `hour` milliseconds.
const HOUR = 3600 * 1000;
const setRealInterval = global.setInterval;
global.setInterval = (callback, milliseconds, ...rest) =>
  setRealInterval(callback, milliseconds === HOUR ? options.hour || HOUR : milliseconds, ...rest);

// Microsoft's functions spell addresses for TLS on port 443. Tokens are signed over those; connections go to the test's
// namespace, and without TLS unless there is a `tls` option.
const host = options.namespace.split(':')[0];
const reroute = (address) =>
  address.replace(/^(ws|http)s:\/\/[^/]+/, (_, scheme) => `${scheme}${options.tls ? 's' : ''}://${options.namespace}`);

function tokenFor(hyco, address) {
  return hyco.createRelayToken(address, options.keyName, process.env.RELAY_KEY, options.lifetime);
}

function say(event, fields) {
  process.stdout.write(JSON.stringify({ event, ...fields }) + '\n');
}

function obey(commands) {
  readline
    .createInterface({ input: process.stdin })
    .on('line', (line) => {
      const { command, ...fields } = JSON.parse(line);
      commands[command](fields);
    })
    .on('close', () => process.exit(0));
}

// A frame or a body as a field of a JSON line, and back.
const told = (data) => (typeof data === 'string' ? { text: data } : { base64: data.toString('base64') });
const meant = ({ text, base64 }) => (base64 === undefined ? text : Buffer.from(base64, 'base64'));

// A response's body, when all of it has come.
function whole(stream, then) {
  const chunks = [];
  stream.on('data', (chunk) => chunks.push(chunk)).on('end', () => then(Buffer.concat(chunks)));
}

module.exports = { options, host, reroute, tokenFor, say, obey, told, meant, whole };
