// What is open renews itself when the other side does something (`live.js` tells of it); what one writes in it stays.
"use strict";
(() => {
  const live = document.getElementById("live");
  if (!live) return;
  const say = (text) => { const said = document.getElementById("said"); if (said) said.textContent = text; };
  const part = (html) => new DOMParser().parseFromString(html, "text/html").body;
  let touched = 0, waiting = null, bar = null;
  live.addEventListener("pointerdown", (event) => { if (event.pointerType !== "mouse") touched = Date.now(); });
  const changed = (f) => f.type === "hidden" ? false : f.tagName === "SELECT" ? [...f.options].some((o) => o.selected !== o.defaultSelected) && f.selectedIndex > 0 : f.tagName === "TEXTAREA" ? f.value.trim() !== "" : f.value !== f.defaultValue;
  const written = () => [...live.querySelectorAll("form")].map((form) => ({ verb: form.elements.do?.value, fields: [...form.elements].filter((f) => f.name && changed(f)).map((f) => [f.name, f.value]) })).filter((w) => w.fields.length);
  // Somebody who writes, chooses or is about to click is not disturbed: a quiet bar says that something is new.
  const busy = () => written().length > 0 || live.matches(":hover") || live.contains(document.activeElement) || Date.now() - touched < 8000;
  const put = (html) => {
    const kept = written(), open = [...live.querySelectorAll("details[open]")].map((d) => d.id).filter(Boolean);
    const at = document.activeElement, here = live.contains(at) && at.name ? [at.form?.elements.do?.value, at.name, at.selectionStart] : null;
    live.replaceChildren(...part(html).childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    for (const { verb, fields } of kept) {
      const form = [...live.querySelectorAll("form")].find((f) => f.elements.do?.value === verb);
      form?.closest("details")?.setAttribute("open", "");
      for (const [name, value] of fields) if (form?.elements[name]) form.elements[name].value = value; else if (value.trim()) left(value);
    }
    if (here) { const again = [...live.querySelectorAll("form")].find((f) => f.elements.do?.value === here[0])?.elements[here[1]]; again?.focus({ preventScroll: true }); try { again?.setSelectionRange(here[2], here[2]); } catch { /* not a text */ } }
  };
  // What was being written for something that cannot be done any more stays to be copied.
  const left = (text) => {
    const note = document.createElement("div"), said = document.createElement("p"), words = document.createElement("p");
    note.className = "note warning"; said.textContent = live.dataset.kept; words.className = "words"; words.textContent = text;
    note.append(said, words); (live.querySelector("aside") || live).prepend(note);
  };
  const show = () => { if (waiting === null) return; put(waiting); waiting = null; bar.hidden = true; };
  const tell = () => {
    if (!bar) {
      bar = document.createElement("div"); bar.className = "quiet"; bar.id = "newer"; bar.setAttribute("role", "status");
      const text = document.createElement("span"), button = document.createElement("button");
      text.textContent = live.dataset.changed; button.type = "button"; button.textContent = live.dataset.show;
      button.addEventListener("click", show);
      bar.append(text, button); document.querySelector("main").append(bar);
    }
    bar.hidden = false; say(live.dataset.changed);
  };
  const sign = (root) => { const now = root.querySelector("[data-state]"); return now ? `${now.dataset.state} ${now.dataset.count} ${now.textContent}` : ""; };
  const renew = async () => {
    let answer;
    try { answer = await fetch(live.dataset.part, { headers: { "hx-request": "true" } }); } catch { return; }
    if (answer.headers.get("x-session") === "locked") { document.dispatchEvent(new Event("sammanhang:lock")); return; }
    if (!answer.ok) return;
    const html = await answer.text();
    if (sign(part(html)) === sign(live)) return;
    if (busy()) { waiting = html; tell(); return; }
    put(html); say(live.dataset.changed);
  };
  document.addEventListener("sammanhang:changed", renew);
  document.addEventListener("keydown", (event) => {
    const form = event.target.closest?.("#live form");
    if (form && !event.defaultPrevented && (event.ctrlKey || event.metaKey) && event.key === "Enter") { event.preventDefault(); form.requestSubmit(); }
  });
  // One click is one act; the server sees to it too.
  live.addEventListener("submit", (event) => { if (event.target.dataset.sent) event.preventDefault(); event.target.dataset.sent = "yes"; });
  window.addEventListener("pageshow", () => { for (const form of live.querySelectorAll("form")) delete form.dataset.sent; });
  // The address tells what was done once; read again it does not.
  if (new URLSearchParams(location.search).has("done")) history.replaceState(null, "", location.pathname);
})();
