// What pages do besides, where there is script. Without it they lack the viewer's time zone, dialogs, live updates and
// copying by a button, and nothing else.
"use strict";

// Times: as the server gave them until here, from here in the viewer's zone; the title keeps UTC.
const clock = { month: "short", day: "numeric", hour: "numeric", minute: "2-digit", second: "2-digit" };
const thisYear = new Intl.DateTimeFormat(undefined, clock);
const anyYear = new Intl.DateTimeFormat(undefined, { year: "numeric", ...clock });
const anyDay = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });
function localTime(date) {
  const format = date.getFullYear() === new Date().getFullYear() ? thisYear : anyYear;
  return format.format(date);
}
function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const moment = new Date(time.dateTime);
    time.textContent = "day" in time.dataset ? anyDay.format(moment) : localTime(moment);
    time.dataset.local = "";
  }
  // A moment that is typed in is the viewer's; what is sent is UTC.
  for (const input of root.querySelectorAll("input[data-moment]:not([data-local])")) {
    if (input.value) input.value = localValue(new Date(input.value + "Z"));
    const zone = root.querySelector(`label[for="${input.id}"] .zone`);
    if (zone) zone.textContent = "your time";
    input.dataset.local = "";
    input.form.addEventListener("formdata", (event) => {
      if (input.value) event.formData.set(input.name, new Date(input.value).toISOString());
    });
  }
}
function localValue(date) {
  const local = new Date(date.getTime() - date.getTimezoneOffset() * 60000);
  return local.toISOString().slice(0, 19);
}

// Copying: a button with data-copy names what it copies. Without script there is no such button.
function showCopying(root) {
  for (const button of root.querySelectorAll("button[data-copy][hidden]")) button.hidden = false;
}
async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const said = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    button.textContent = "Selected: copy it now";
  }
  setTimeout(() => { button.textContent = said; }, 2000);
}

// Dialogs: a link with data-dialog leads to a page whose content is shown here instead.
async function openDialog(link) {
  const page = await fetchPage(link.href);
  if (!page) return location.assign(link.href);
  const dialog = document.createElement("dialog");
  const keeps = () => !("typed" in dialog.dataset) || confirm("Throw away what you typed?");
  dialog.addEventListener("input", () => { dialog.dataset.typed = ""; });
  dialog.addEventListener("cancel", (event) => { if (!keeps()) event.preventDefault(); });
  dialog.addEventListener("click", (event) => { if (event.target.closest(".close") && keeps()) dialog.close(); });
  dialog.addEventListener("close", () => {
    dialog.remove();
    // A live part may have put another one in its place.
    const same = link.isConnected ? link : [...document.links].find((other) => other.href === link.href);
    same?.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  fillDialog(dialog, page);
}
function fillDialog(dialog, page) {
  const close = document.createElement("button");
  close.type = "button";
  close.className = "close";
  close.setAttribute("aria-label", "Close");
  close.textContent = "✕";
  dialog.replaceChildren(...page.querySelector("main").childNodes, close);
  delete dialog.dataset.typed;
  const title = dialog.querySelector("h1");
  if (title) { title.id = "dialog-title"; dialog.setAttribute("aria-labelledby", title.id); }
  prepare(dialog);
  // What is wrong, or the first field; where there is none, what does no harm.
  const fields = "[aria-invalid=true], [autofocus]";
  const first = "input:not([type=hidden], .visually-hidden), select, textarea";
  (dialog.querySelector(fields) ?? dialog.querySelector(first) ?? dialog.querySelector(".actions a.button") ?? close).focus();
}
async function sendFromDialog(dialog, form, button) {
  const fields = new URLSearchParams(new FormData(form, button));
  const address = button?.getAttribute("formaction") || form.getAttribute("action") || dialog.dataset.address;
  let answer, page;
  try {
    answer = await fetch(address, { method: "POST", body: fields });
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return complain(dialog, "It could not be sent. What you typed is still here: try again in a moment.");
  }
  if (isLogin(answer)) return complain(dialog, "Your session is over, and nothing was saved. Copy what you typed, and sign in again.");
  if (answer.redirected) return arrive(answer.url);
  if (!page.querySelector("main")) return complain(dialog, `It was answered with ${answer.status}. What you typed is still here.`);
  fillDialog(dialog, page);
  dialog.scrollTo(0, 0);
}
function complain(dialog, words) {
  const banner = document.createElement("div");
  banner.className = "banner bad";
  banner.setAttribute("role", "alert");
  banner.textContent = words;
  dialog.querySelector(".complaint")?.remove();
  banner.classList.add("complaint");
  dialog.prepend(banner);
  dialog.scrollTo(0, 0);
}
function isLogin(answer) {
  return answer.redirected && new URL(answer.url).pathname.endsWith("/login");
}
function arrive(address) {
  const there = new URL(address);
  if (there.pathname + there.search === location.pathname + location.search) location.reload();
  else location.assign(address);
}
async function fetchPage(address) {
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    if (isLogin(answer)) return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return null;
  }
}

// Live: what has data-live and an id is put in the place of the old one when something happened.
let refreshing = false;
let changedMeanwhile = false;
async function refresh() {
  changedMeanwhile = refreshing;
  if (refreshing || document.hidden) return;
  refreshing = true;
  const began = performance.now();
  const page = await fetchPage(location.href);
  if (page) replaceParts(page);
  // A server that takes its time is asked less often.
  await new Promise((rested) => setTimeout(rested, performance.now() - began));
  refreshing = false;
  if (changedMeanwhile) refresh();
}
function replaceParts(page) {
  for (const old of document.querySelectorAll("[data-live][id]")) {
    const fresh = page.getElementById(old.id);
    // Whoever is about to do something here is not to be disturbed.
    const busy = old.contains(document.activeElement) || old.querySelector("input:checked, details[open]") || !getSelection().isCollapsed;
    if (fresh && !busy && fresh.innerHTML !== old.dataset.was) {
      old.dataset.was = fresh.innerHTML;
      old.replaceChildren(...fresh.childNodes);
      prepare(old);
    }
  }
}
function live() {
  const parts = [...document.querySelectorAll("[data-live]")];
  if (parts.length === 0) return;
  // Parts with a number are asked for every so many seconds, the others when something happens.
  const seconds = parts.map((part) => Number(part.dataset.live)).filter((number) => number > 0);
  if (seconds.length) setInterval(refresh, Math.min(...seconds) * 1000);
  if (seconds.length < parts.length) listen();
  addEventListener("visibilitychange", refresh);
}
function listen() {
  let changes = null;
  // A browser has six connections to a host for all its tabs: one that nobody looks at has none.
  const open = () => {
    if (document.hidden || changes) return;
    changes = new EventSource("/console/live");
    changes.addEventListener("message", refresh);
    // What happened before this was listened to is not told; other processes hear a moment later that somebody listens.
    changes.addEventListener("open", () => { refresh(); setTimeout(refresh, 3000); });
  };
  const close = () => { changes?.close(); changes = null; };
  addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}

function prepare(root) {
  showTimes(root);
  showCopying(root);
  for (const hook of hooks) hook(root);
}
// What single pages add: each is called with every part of a page that is shown.
const hooks = [];

// On a narrow screen a long filter is folded, unless something stands in it.
hooks.push((root) => {
  if (!matchMedia("(max-width: 47.99rem)").matches) return;
  for (const form of root.querySelectorAll("form.filters")) {
    const fields = [...form.querySelectorAll(".field input, .field select")];
    if (fields.length < 3 || form.closest("details")) continue;
    const fold = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = "Filter";
    fold.className = "card";
    fold.open = fields.some((field) => field.value !== "");
    form.replaceWith(fold);
    fold.append(summary, form);
  }
});

// A form with data-preview shows what would come of it, anew after each change.
hooks.push((root) => {
  for (const form of root.querySelectorAll("form[data-preview]:not([data-watched])")) {
    form.dataset.watched = "";
    let timer, asked = 0;
    const preview = async () => {
      const number = ++asked;
      try {
        const answer = await fetch(form.dataset.preview, { method: "POST", body: new URLSearchParams(new FormData(form)) });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.querySelector(".preview-request");
        if (fresh && number === asked) form.querySelector(".preview-request").replaceChildren(...fresh.childNodes);
      } catch { /* What was shown stays until there is an answer again. */ }
    };
    form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(preview, 300); });
  }
});

// Charts: the times below their bars, as all times are shown.
const shownBelowBars = {
  "clock": new Intl.DateTimeFormat(undefined, { timeStyle: "short" }),
  "day": new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" }),
};
hooks.push((root) => {
  for (const label of root.querySelectorAll("[data-time]:not([data-local])")) {
    const at = new Date(label.dataset.time);
    label.textContent = label.dataset.shows.split("-").map((part) => shownBelowBars[part].format(at)).join("\n");
    label.dataset.local = "";
  }
  for (const zone of root.querySelectorAll("[data-zone]")) zone.textContent = "Times in your zone";
});

// Selecting: a button with data-select ticks all boxes of that name in its form, or none if all are ticked.
hooks.push((root) => {
  for (const button of root.querySelectorAll("button[data-select][hidden]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const boxes = [...button.form.querySelectorAll(`input[type=checkbox][name="${button.dataset.select}"]`)];
      const all = boxes.every((box) => box.checked);
      for (const box of boxes) box.checked = !all;
    });
  }
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    openDialog(link);
  }
  const button = event.target.closest("button[data-copy]");
  if (button) copy(button);
});
// A form that changes something is sent once, however often its button is pressed.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  // By its attribute: a field may be called "method", too.
  if (form.getAttribute("method")?.toLowerCase() !== "post") return;
  if ("sent" in form.dataset) return event.preventDefault();
  form.dataset.sent = "";
  event.submitter?.setAttribute("aria-busy", "true");
  const dialog = form.closest("dialog");
  if (!dialog) return;
  event.preventDefault();
  await sendFromDialog(dialog, form, event.submitter);
  beFree(form);
});
// The page may come back from the browser's memory.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) beFree(form);
});
function beFree(form) {
  delete form.dataset.sent;
  form.querySelector("[aria-busy]")?.removeAttribute("aria-busy");
}

prepare(document);
live();
// What was said once is not said again when the page is loaded anew.
const here = new URL(location.href);
if (here.searchParams.has("said")) {
  here.searchParams.delete("said");
  history.replaceState(null, "", here);
}
