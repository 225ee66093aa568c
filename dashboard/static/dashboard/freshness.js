/** Owns what the page says of its own age: in words, and by going grey. Moments come as the clinic's day and clock. */

export class Freshness {
  #banner = document.querySelector("#freshness .banner")
  #at = document.querySelector("#at")

  /** A message has come; the database may still be away. */
  heard({ at, away_since }) {
    this.#at.dateTime = at
    this.#at.textContent = said(at)
    this.#say(away_since && `The database does not answer since ${said(away_since)}. What you see is as it was then; trying again.`)
  }

  /** Nothing comes any more. */
  lost() {
    this.#at.textContent = said(this.#at.dateTime)
    this.#say(`Out of date since ${this.#at.textContent}; trying again.`)
  }

  #say(words) {
    document.documentElement.classList.toggle("is-old", Boolean(words))
    if (this.#banner.textContent === words) return
    this.#banner.classList.remove("banner--unheard")
    this.#banner.hidden = !words
    this.#banner.textContent = words
  }
}

/** `10:42:17` of `2026-11-24T10:42:17`, with the day where that is not today: this may go on past midnight. */
function said(moment) {
  const clock = moment.split("T")[1]
  const at = new Date(moment)
  if (at.toDateString() === new Date().toDateString()) return clock
  return `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${clock}`
}
