// The lock screen over a page: what stands there and what is typed stay in it, out of sight and out of reach,
// until the same person has logged in anew. The server locks by itself; this only shows it.
"use strict";
(() => {
  const layer = document.getElementById("lock");
  if (!layer) return;
  const { who, assignment } = layer.dataset;
  const soon = document.getElementById("lock-soon"), moved = document.getElementById("lock-moved");
  const said = document.getElementById("lock-said"), title = document.title;
  const tabs = "BroadcastChannel" in window ? new BroadcastChannel("sammanhang") : null;
  const WARNING = 60000, REPORT = 45000;
  let csrf = layer.dataset.csrf, reported = Date.now(), locksAt, endsAt, timer, shut = false, scrolled = 0;

  const tell = (what) => tabs?.postMessage(what);
  const others = () => [...document.body.children].filter((e) => e !== layer && e.tagName !== "SCRIPT");

  const lock = (news) => {
    if (shut) return;
    shut = true;
    scrolled = window.scrollY;
    document.querySelector("[data-menu][open]")?.removeAttribute("open");
    document.documentElement.dataset.locked = "";
    for (const element of others()) element.inert = true;
    document.title = document.getElementById("lock-title").textContent;
    soon.hidden = true;
    layer.hidden = false;
    said.textContent = "";
    document.getElementById("lock-open").focus();
    if (news) tell("lock");
  };
  const open = () => {
    if (!shut) return;
    shut = false;
    layer.hidden = true;
    delete document.documentElement.dataset.locked;
    for (const element of others()) element.inert = false;
    document.title = title;
    window.scrollTo(0, scrolled);
  };
  const wipe = () => {
    document.body.replaceChildren();
    document.title = "Sammanhang";
    location.replace("/");
  };

  const ask = async (method) => {
    const headers = method === "POST" ? { "x-csrf-token": csrf } : {};
    const answer = await fetch(`/session?assignment=${encodeURIComponent(assignment)}`, { method, headers, cache: "no-store" });
    const state = await answer.json();
    return answer.ok ? state : { state: state.state };
  };
  const plan = () => {
    clearTimeout(timer);
    const left = Math.min(locksAt, endsAt) - Date.now();
    timer = setTimeout(look, left > WARNING ? left - WARNING : Math.max(left, 0) + 500);
  };
  const take = (state) => {
    locksAt = Date.now() + state.locks_in * 1000;
    endsAt = Date.now() + state.ends_in * 1000;
    csrf = state.csrf;
    soon.hidden = true;
    plan();
  };
  // How the session is now; asking does not count as activity.
  const look = async () => {
    let state;
    try { state = await ask("GET"); } catch {
      if (Date.now() >= Math.min(locksAt, endsAt)) lock(false);
      said.textContent = layer.dataset.away;
      return;
    }
    if (state.person === undefined) {
      lock(false);
      said.textContent = state.state === "locked" || state.state === "none" ? "" : layer.dataset.still;
      return;
    }
    if (state.person !== who) { wipe(); return; }
    if (state.state !== "active") { lock(false); return; } // an assignment is to be chosen first
    take(state);
    if (shut) for (const field of document.querySelectorAll('input[name="csrf"]')) field.value = csrf;
    open();
    moved.hidden = state.assignment === assignment;
    document.getElementById("lock-now").textContent = state.assignment_text;
    soon.hidden = Math.min(locksAt, endsAt) - Date.now() > WARNING;
  };
  // Somebody is at work here: told to the server now and then, for it sees no typing.
  const atWork = async () => {
    if (shut) return;
    if (Date.now() - reported < REPORT && soon.hidden) return;
    reported = Date.now();
    try {
      const state = await ask("POST");
      if (state.person === who) { take(state); tell("seen"); } else look();
    } catch { /* the timer goes on */ }
  };
  const lockNow = async () => {
    lock(true);
    try {
      const answer = await fetch("/lock", { method: "POST", headers: { "x-csrf-token": csrf } });
      if (answer.status >= 400) look();
    } catch { said.textContent = layer.dataset.away; }
  };

  for (const kind of ["keydown", "pointerdown", "input", "wheel"]) document.addEventListener(kind, atWork, { passive: true });
  document.addEventListener("sammanhang:lock", lockNow);
  document.addEventListener("submit", (event) => { if (event.target.matches("[data-lock]")) { event.preventDefault(); lockNow(); } });
  document.addEventListener("click", (event) => {
    if (event.target.closest('a[href="/lock"]')) { event.preventDefault(); document.querySelector("dialog[open]")?.close(); lockNow(); }
    if (event.target.closest("[data-close-window]")) window.close();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.getResponseHeader("x-session") !== "locked") return;
    event.detail.isError = event.detail.shouldSwap = false;
    lock(true);
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  window.addEventListener("focus", () => { if (shut) look(); });
  document.getElementById("lock-stay").addEventListener("click", atWork);
  document.getElementById("lock-reload").addEventListener("click", () => location.reload());
  document.getElementById("lock-open").addEventListener("click", (event) => {
    // A small window; where that is not let through, the link opens a tab: this page must stay.
    if (window.open(event.currentTarget.href, "sammanhang-unlock", "width=520,height=760")) event.preventDefault();
    said.textContent = layer.dataset.still;
  });
  // A page that the browser kept whole is looked at before it is shown again.
  window.addEventListener("pageshow", (event) => { if (event.persisted) { lock(false); look(); } });
  if (tabs) tabs.onmessage = (event) => { if (event.data === "lock") lock(false); else look(); };

  take({ locks_in: Number(layer.dataset.locksIn), ends_in: Number(layer.dataset.endsIn), csrf });
  tell("seen");
  if (document.querySelector("[data-unlocked]")) window.close();
})();
