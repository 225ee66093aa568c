// Keeps the clinic's list as it is on the server, without a reload: asks each second, and changes the rows that differ.
// Without this script the page works by itself: its buttons are a form's, and a link shows what has come since.

const SECOND = 1000;
const list = document.getElementById("list");
const news = document.getElementById("news");
const stale = document.getElementById("stale");
const shown = new Map();
let since = new Date();
let asking = null;

const parts = (root) => root.querySelectorAll("#gateway, #counts, tbody tr");
const keyOfButton = (button) => button?.getAttribute("formaction");

function remember() {
  for (const part of parts(list)) shown.set(part.id, part.outerHTML);
}

function put(fresh) {
  const old = document.getElementById(fresh.id);
  const html = fresh.outerHTML;
  if (shown.get(fresh.id) === html) return;
  const focused = old.querySelector(":focus-visible");
  if (old.dataset.state !== fresh.dataset.state) {
    fresh.classList.add("is-new");
    news.textContent = `${fresh.dataset.name}: ${fresh.dataset.state}`;
  }
  shown.set(fresh.id, html);
  old.replaceWith(fresh);
  if (focused) focusIn(fresh, keyOfButton(focused));
}

/** The same button again; where it is gone, her name: whoever uses the keyboard stays in the row. */
function focusIn(row, key) {
  const again = [...row.querySelectorAll("button")].find((button) => keyOfButton(button) === key);
  (again ?? row.querySelector("a"))?.focus({ preventScroll: true });
}

function showStale(isStale) {
  if (!isStale) since = new Date();
  list.classList.toggle("is-stale", isStale);
  if (stale.hidden === isStale) {
    document.getElementById("stale-since").textContent = since.toLocaleTimeString("en-GB");
    stale.hidden = !isStale;
  }
}

async function ask() {
  try {
    const response = await fetch(list.dataset.source, { headers: { Accept: "text/html" } });
    if (!response.ok) throw new Error(String(response.status));
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = [...parts(page)];
    if (fresh.some((part) => !document.getElementById(part.id))) {
      location.reload(); // another tab has begun a new list
      return;
    }
    fresh.forEach((part) => put(document.importNode(part, true)));
    showStale(false);
  } catch {
    showStale(true);
  }
}

/** One question at a time, however many want to know. */
function refresh() {
  asking ??= ask().finally(() => { asking = null; });
  return asking;
}

document.addEventListener("submit", async (event) => {
  const button = event.submitter;
  if (button?.form?.id !== "deed") return;
  event.preventDefault();
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  const done = fetch(button.formAction, { method: "POST", body: new FormData(button.form), redirect: "manual" });
  try {
    await done;
  } catch {
    showStale(true);
  }
  button.removeAttribute("aria-disabled");
  await asking;
  await refresh();
});

remember();
setInterval(() => { if (!document.hidden) refresh(); }, SECOND);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
