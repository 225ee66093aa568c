/** Keep the live page up to date, and say when it is not. */

import { keepConnected } from "./connection.js"
import { Freshness } from "./freshness.js"
import { show } from "./fragments.js"

const { live, login } = document.body.dataset
const freshness = new Freshness()

keepConnected(live, {
  onMessage(message) {
    show(message)
    freshness.received(message)
  },
  onLost() {
    freshness.lost()
  },
  onLoggedOut() {
    location.assign(`${login}?next=${encodeURIComponent(location.pathname)}`)
  },
})
