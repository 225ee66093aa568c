/** Show how old the page is: in words, and by greying it out. Times are in the clinic's time zone. */

export class Freshness {
  #banner = document.querySelector("#freshness .banner")
  #at = document.querySelector("#at")

  /** A message has arrived; the database may still be unreachable. */
  received({ at, unreachable_since }) {
    this.#at.dateTime = at
    this.#at.textContent = clockTime(at)
    this.#show(unreachable_since && `The database has not responded since ${clockTime(unreachable_since)}. This page shows the state at that time. Trying again.`)
  }

  /** The connection is lost. */
  lost() {
    this.#at.textContent = clockTime(this.#at.dateTime)
    this.#show(`Out of date since ${this.#at.textContent}. Trying again.`)
  }

  #show(words) {
    document.documentElement.classList.toggle("is-old", Boolean(words))
    if (this.#banner.textContent === words) return
    this.#banner.classList.remove("banner--initial")
    this.#banner.hidden = !words
    this.#banner.textContent = words
  }
}

/** `10:42:17` of `2026-11-24T10:42:17`, with the date on another day. */
function clockTime(moment) {
  const clock = moment.split("T")[1]
  const at = new Date(moment)
  if (at.toDateString() === new Date().toDateString()) return clock
  return `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${clock}`
}
