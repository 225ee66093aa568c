/** Put fragments of HTML, rendered by the server, into the page. */

const rooms = document.querySelector("#rooms")

/** Show a message's fragments, each in its slot or as a room. */
export function show({ fragments, rooms: order }) {
  const restoreFocus = rememberFocus()
  for (const [id, html] of Object.entries(fragments)) {
    const slot = document.querySelector(`[data-slot="${id}"]`)
    if (slot) slot.replaceChildren(parsed(html))
    else putRoom(id, html)
  }
  if (order) arrange(order)
  restoreFocus()
  const summary = document.querySelector("[data-title]")
  if (summary) document.title = `${summary.dataset.title} – Screening gateway`
}

function putRoom(id, html) {
  const known = document.getElementById(id)
  if (known) known.replaceWith(parsed(html))
  else rooms.append(parsed(html))
}

/** Put the rooms in this order, and remove all others. */
function arrange(order) {
  for (const room of [...rooms.children]) if (!order.includes(room.id)) room.remove()
  for (const id of order) {
    const room = document.getElementById(id)
    if (room) rooms.append(room)
  }
}

/** No script in it runs: the Content-Security-Policy allows only these files. */
function parsed(html) {
  const template = document.createElement("template")
  template.innerHTML = html
  return template.content
}

/** Remember the focused link; return a function that focuses the link that has replaced it. */
function rememberFocus() {
  const link = document.activeElement?.closest?.("#page a")
  if (!link) return () => {}
  const same = `#page a[href="${CSS.escape(link.getAttribute("href"))}"]`
  return () => document.contains(link) || document.querySelector(same)?.focus({ preventScroll: true })
}
