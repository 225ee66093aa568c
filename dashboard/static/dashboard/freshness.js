/** Owns what the page says of its own age: in words, and by going grey. */

export class Freshness {
  #banner = document.querySelector("#freshness .banner")
  #at = document.querySelector("#at")

  /** A message has come; the database may still be away. */
  heard({ at, away_since }) {
    this.#at.textContent = at
    this.#say(away_since && `The database does not answer since ${away_since}. What you see is as it was then; trying again.`)
  }

  /** Nothing comes any more. */
  lost() {
    this.#say(`Out of date since ${this.#at.textContent}; trying again.`)
  }

  #say(words) {
    document.documentElement.classList.toggle("is-old", Boolean(words))
    if (this.#banner.textContent === words) return
    this.#banner.hidden = !words
    this.#banner.textContent = words
  }
}
