// Update the clinic's list without a reload: fetch it every second, and replace the rows that have changed.
// Without this script the page still works: its buttons belong to a form, and a link updates the list.

const SECOND = 1000;
const list = document.getElementById("list");
const news = document.getElementById("news");
const stale = document.getElementById("stale");
const shown = new Map();
let updatedAt = new Date();
let fetching = null;

const fragments = (root) => root.querySelectorAll("#gateway, #counts, tbody tr");
const keyOfButton = (button) => button?.getAttribute("formaction");

function remember() {
  for (const fragment of fragments(list)) shown.set(fragment.id, fragment.outerHTML);
}

function replace(fresh) {
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

/** Focus the same button again, or the name if the button is gone, so that keyboard users stay in the row. */
function focusIn(row, key) {
  const again = [...row.querySelectorAll("button")].find((button) => keyOfButton(button) === key);
  (again ?? row.querySelector("a"))?.focus({ preventScroll: true });
}

function showStale(isStale) {
  if (!isStale) updatedAt = new Date();
  list.classList.toggle("is-stale", isStale);
  if (stale.hidden === isStale) {
    document.getElementById("stale-since").textContent = updatedAt.toLocaleTimeString("en-GB");
    stale.hidden = !isStale;
  }
}

async function update() {
  try {
    const response = await fetch(list.dataset.source, { headers: { Accept: "text/html" } });
    if (!response.ok) throw new Error(String(response.status));
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = [...fragments(page)];
    if (fresh.some((fragment) => !document.getElementById(fragment.id))) {
      location.reload(); // another tab has started a new list
      return;
    }
    fresh.forEach((fragment) => replace(document.importNode(fragment, true)));
    showStale(false);
  } catch {
    showStale(true);
  }
}

/** Fetch the list; callers during a fetch share it. */
function refresh() {
  fetching ??= update().finally(() => { fetching = null; });
  return fetching;
}

document.addEventListener("submit", async (event) => {
  const button = event.submitter;
  if (button?.form?.id !== "row-action") return;
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
  await fetching;
  await refresh();
});

remember();
setInterval(() => { if (!document.hidden) refresh(); }, SECOND);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
