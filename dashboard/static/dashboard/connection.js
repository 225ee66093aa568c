/** Owns the WebSocket: opened, watched, and opened again, later and later, and never by all viewers at once. */

const NOT_LOGGED_IN = 4401
/** The server says something every five seconds. */
const SILENT_FOR_MS = 15_000
const SHORTEST_MS = 500
const LONGEST_MS = 10_000

/** For as long as the page is open. `onLost` may be called several times in a row. */
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
    listen(opened)
    opened.onmessage = (event) => {
      failures = 0
      listen(opened)
      onMessage(JSON.parse(event.data))
    }
    opened.onclose = (event) => over(opened, event.code)
  }

  function over(ended, code) {
    if (ended !== socket) return
    socket = undefined
    clearTimeout(silence)
    if (code === NOT_LOGGED_IN) return onLoggedOut()
    onLost()
    retry = setTimeout(open, delay(failures++))
  }

  /** A connection on which nothing comes is none, even if nobody has closed it. */
  function listen(opened) {
    clearTimeout(silence)
    silence = setTimeout(() => {
      opened.close()
      over(opened)
    }, SILENT_FOR_MS)
  }

  function tryNow() {
    if (!socket) open()
  }

  addEventListener("online", tryNow)
  document.addEventListener("visibilitychange", () => document.hidden || tryNow())
  open()
}

/** Twice as long each time, and a half of it by chance. */
function delay(failures) {
  const longest = Math.min(LONGEST_MS, SHORTEST_MS * 2 ** Math.min(failures, 10))
  return longest / 2 + (Math.random() * longest) / 2
}
