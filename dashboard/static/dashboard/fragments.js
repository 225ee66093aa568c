/** Owns how pieces of HTML, which the server has made, get into the page. */

const rooms = document.querySelector("#rooms")

/** Put in what has come: a piece for a slot, or a room. */
export function show({ pieces, rooms: order }) {
  const focused = focus()
  for (const [id, html] of Object.entries(pieces)) {
    const slot = document.querySelector(`[data-slot="${id}"]`)
    if (slot) slot.replaceChildren(parsed(html))
    else putRoom(id, html)
  }
  if (order) arrange(order)
  focused()
  const summary = document.querySelector("[data-title]")
  if (summary) document.title = `${summary.dataset.title} – Screening gateway`
}

function putRoom(id, html) {
  const known = document.getElementById(id)
  if (known) known.replaceWith(parsed(html))
  else rooms.append(parsed(html))
}

/** In this order, and no others. */
function arrange(order) {
  for (const room of [...rooms.children]) if (!order.includes(room.id)) room.remove()
  for (const id of order) {
    const room = document.getElementById(id)
    if (room) rooms.append(room)
  }
}

/** Nothing in it runs: the page's policy lets in no script but these files. */
function parsed(html) {
  const template = document.createElement("template")
  template.innerHTML = html
  return template.content
}

/** Remember where the keyboard is; the answer brings it back to the link that has taken the other's place. */
function focus() {
  const link = document.activeElement?.closest?.("#page a")
  if (!link) return () => {}
  const same = `#page a[href="${CSS.escape(link.getAttribute("href"))}"]`
  return () => document.contains(link) || document.querySelector(same)?.focus({ preventScroll: true })
}
