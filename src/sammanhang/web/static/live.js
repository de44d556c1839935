// Keeps a page alive: what has changed is fetched in place, what is new waits under a quiet line. See docs of /work/events.
"use strict";
(() => {
  const $ = (s, e = document) => e.querySelector(s), $$ = (s, e = document) => [...e.querySelectorAll(s)];
  const box = $("[data-live]"), badge = $("[data-waiting]"), part = { headers: { "HX-Request": "true" }, cache: "no-store" };
  const say = (text) => { const said = $("#said"); if (said) said.textContent = text; };
  const away = () => document.hidden || document.documentElement.dataset.locked !== undefined;

  // The count in the menu: known on some pages, asked for on the others.
  const count = (n) => { if (badge) badge.textContent = n || ""; };
  if (badge && !badge.textContent) fetch("/work/counts", part).then((r) => r.ok ? r.json() : null).then((c) => c && count(c.waiting)).catch(() => {});
  if (!box || !window.EventSource) return;

  const words = JSON.parse(box.dataset.words || "{}"), news = $("[data-news]", box), body = $("[data-body]", box);
  const put = (text, n, span) => text.replace("%(n)s", n).replace("%(span)s", span);
  const row = (id) => $(`[data-task="${CSS.escape(id)}"]`, box);
  const changed = new Set(), fresh = new Set();
  let source, last = box.dataset.since, wait = 1000, timer, later, all = false;

  const tell = () => {
    if (!news) return;
    news.hidden = !fresh.size && !all;
    const text = all ? words.all : put(fresh.size === 1 ? words.new : words.news, fresh.size);
    if (!news.hidden && $("b", news).textContent !== text) { $("b", news).textContent = text; say(text); }
  };
  const swap = (old, now) => {
    const at = document.activeElement, inside = old.contains(at);
    const key = inside && (at.dataset.open !== undefined ? "[data-open]" : at.name ? `[name="${at.name}"]` : "a");
    for (const tick of $$("input:checked", old)) { const same = $(`[name="${tick.name}"]:not([disabled])`, now); if (same) same.checked = true; }
    if (old.classList.contains("on")) now.classList.add("on");
    if (old.classList.contains("chosen")) now.classList.add("chosen");
    old.replaceWith(now);
    if (inside) ($(key, now) || $("[data-open]", now))?.focus({ preventScroll: true });
  };
  const parsed = async (address) => {
    const answer = await fetch(address, part);
    if (!answer.ok) throw 0;
    const html = (await answer.text()).trim();
    // Rows are rows only within a table.
    return new DOMParser().parseFromString(html.startsWith("<tr") ? `<table>${html}</table>` : html, "text/html").body;
  };
  const look = async () => {
    later = 0;
    const ids = [...changed].slice(0, 50);
    for (const id of ids) changed.delete(id);
    try {
      if (box.dataset.whole) { await whole(); return; }
      if (!ids.length || !box.dataset.rows) return;
      const found = await parsed(`${box.dataset.rows}&ids=${ids}`);
      for (const id of ids) {
        const old = row(id), now = $(`[data-task="${CSS.escape(id)}"]`, found);
        if (old && now) swap(old, now);
        else if (old && !old.classList.contains("gone")) { old.classList.add("gone"); old.title = words.gone; }
      }
    } catch { for (const id of ids) changed.add(id); plan(3000); }
    if (changed.size) plan(200);
  };
  const plan = (ms) => { later = later || setTimeout(look, ms + Math.random() * ms); };
  // The start page's card is one piece: it is left alone while one is about to click in it.
  const whole = async (asked) => {
    if (!asked && (body.matches(":hover") || body.contains(document.activeElement))) { all = true; tell(); return; }
    body.replaceChildren(...(await parsed(box.dataset.whole)).childNodes);
    fresh.clear(); all = false; tell();
  };
  const show = async () => {
    if (box.dataset.whole) return whole(true);
    if (box.dataset.top) { location.href = box.dataset.top; return; }
    const found = await parsed(box.dataset.rows), rows = $$("[data-task]", found), table = $("table", box);
    const ticked = new Set($$("[data-task] input:checked", box).map((i) => i.value));
    for (const r of rows) if (ticked.has(r.dataset.task)) { const i = $("input", r); i.checked = true; r.classList.add("chosen"); }
    body.replaceChildren(...rows);
    table.hidden = !rows.length;
    const none = $("[data-empty]", box);
    if (none) none.hidden = rows.length > 0;
    const first = rows.find((r) => fresh.has(r.dataset.task));
    fresh.clear(); all = false; tell();
    if (first) { first.classList.add("on"); $("[data-open]", first)?.focus(); }
  };
  news?.addEventListener("click", (event) => { event.preventDefault(); show().catch(() => location.reload()); });

  const take = (said) => {
    for (const [name, n] of Object.entries(said.counts || {})) for (const e of $$(`[data-count="${name}"]`)) e.textContent = n;
    if (said.counts) count(said.counts.waiting);
    for (const t of said.tasks) {
      if (row(t.id)) changed.add(t.id);
      else if (t.fits) fresh.add(t.id);
      else fresh.delete(t.id);
    }
    if (said.all) all = true;
    if (changed.size || (box.dataset.whole && said.tasks.length)) plan(100);
    tell();
    // Where there are no rows nothing can move from under a click.
    if (fresh.size && body && box.dataset.rows && !box.dataset.top && !$("[data-task]", body)) show().catch(() => {});
    if (said.tasks.length || said.all) box.dispatchEvent(new CustomEvent("sammanhang:changed", { bubbles: true, detail: said }));
  };
  const close = () => { clearTimeout(timer); source?.close(); source = null; };
  const open = () => {
    close();
    if (away()) { timer = setTimeout(open, 5000); return; }
    const address = new URL(box.dataset.live, location.href);
    if (last) address.searchParams.set("since", last);
    source = new EventSource(address);
    source.onmessage = (event) => { last = event.lastEventId || last; wait = 1000; take(JSON.parse(event.data)); };
    source.addEventListener("over", close);
    source.onerror = () => {
      if (source?.readyState !== 2) return; // the browser comes back by itself
      close();
      timer = setTimeout(open, wait);
      wait = Math.min(wait * 2, 30000);
    };
  };
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else open(); });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  open();

  // The time left goes on by itself.
  setInterval(() => {
    for (const time of $$("time[data-left]", box)) {
      const minutes = Math.trunc((Date.parse(time.dateTime) - Date.now()) / 60000), late = Date.parse(time.dateTime) < Date.now(), n = Math.abs(minutes);
      const span = n < 60 ? put(words.min, n) : n < 2880 ? put(words.hour, Math.trunc(n / 60)) : put(words.days, Math.trunc(n / 1440));
      const text = put(late ? words.late : words.left, "", span), shown = time.firstElementChild;
      if (shown.textContent !== text) shown.textContent = text;
      time.classList.toggle("late", late);
    }
  }, 20000);
})();
