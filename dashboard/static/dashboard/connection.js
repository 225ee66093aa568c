/** Keep a WebSocket open. Reconnect with a growing, partly random delay, so that viewers do not all return at once. */

const NOT_LOGGED_IN = 4401
/** The server sends a message at least every five seconds. */
const SILENCE_MS = 15_000
/** The shortest and the longest delay before the next try. */
const SHORTEST_MS = 500
const LONGEST_MS = 10_000

/** Stay connected while the page is open. `onLost` may be called several times in a row. */
export function keepConnected(path, { onMessage, onLost, onLoggedOut }) {
  let failures = 0
  let socket
  let silence
  let retry

  function open() {
    clearTimeout(retry)
    const address = new URL(path, location.href)
    address.protocol = address.protocol.replace("http", "ws")
    const opened = (socket = new WebSocket(address))
    watch(opened)
    opened.onmessage = (event) => {
      failures = 0
      watch(opened)
      onMessage(JSON.parse(event.data))
    }
    opened.onclose = (event) => closed(opened, event.code)
  }

  function closed(ended, code) {
    if (ended !== socket) return
    socket = undefined
    clearTimeout(silence)
    if (code === NOT_LOGGED_IN) return onLoggedOut()
    onLost()
    retry = setTimeout(open, delay(failures++))
  }

  /** Give up a connection on which nothing arrives: a broken network does not always close it. */
  function watch(opened) {
    clearTimeout(silence)
    silence = setTimeout(() => {
      opened.close()
      closed(opened)
    }, SILENCE_MS)
  }

  function tryNow() {
    if (!socket) open()
  }

  addEventListener("online", tryNow)
  document.addEventListener("visibilitychange", () => document.hidden || tryNow())
  open()
}

/** Double the delay each time; half of it is random. */
function delay(failures) {
  const longest = Math.min(LONGEST_MS, SHORTEST_MS * 2 ** Math.min(failures, 10))
  return longest / 2 + (Math.random() * longest) / 2
}
