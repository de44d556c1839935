// A request that is open renews itself when the other side does something; a draft saves itself as one writes.
"use strict";
(() => {
  const say = (text) => { const said = document.getElementById("said"); if (said) said.textContent = text; };
  const part = (html) => new DOMParser().parseFromString(html, "text/html").body;
  const fill = (box, fresh) => { if (box.textContent.trim() !== fresh.textContent.trim()) box.replaceChildren(...fresh.childNodes); };

  const live = document.getElementById("live");
  if (live) {
    let touched = 0, waiting = null, bar = null;
    live.addEventListener("pointerdown", (event) => { if (event.pointerType !== "mouse") touched = Date.now(); });
    const changed = (f) => f.type === "hidden" ? false : f.tagName === "SELECT" ? [...f.options].some((o) => o.selected !== o.defaultSelected) && f.selectedIndex > 0 : f.value !== f.defaultValue;
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
      note.append(said, words); live.querySelector("aside")?.prepend(note);
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
    const sign = (root) => { const now = root.querySelector(".now"); return now ? `${now.dataset.state} ${now.dataset.count} ${now.textContent}` : ""; };
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
      if (form && (event.ctrlKey || event.metaKey) && event.key === "Enter") { event.preventDefault(); form.requestSubmit(); }
    });
    // One click is one act; the server sees to it too.
    live.addEventListener("submit", (event) => { if (event.target.dataset.sent) event.preventDefault(); event.target.dataset.sent = "yes"; });
    window.addEventListener("pageshow", () => { for (const form of live.querySelectorAll("form")) delete form.dataset.sent; });
    // The address tells what was done once; read again it does not.
    if (new URLSearchParams(location.search).has("done")) history.replaceState(null, "", location.pathname);
  }

  const form = document.querySelector("form[data-draft]");
  if (form) {
    const saved = document.getElementById("saved"), remarks = document.getElementById("remarks"), law = document.getElementById("law");
    let timer = 0, busy = false, again = false, sending = false;
    const take = (html) => {
      const fresh = part(html), line = fresh.querySelector("[data-saved]"), notes = fresh.querySelector("[data-remarks]"), asks = fresh.querySelector("[data-law]");
      if (line && saved) saved.textContent = line.textContent;
      if (notes && remarks) fill(remarks, notes);
      if (asks && law && asks.dataset.receiver !== law.dataset.receiver) { const receiver = asks.dataset.receiver; law.replaceChildren(...asks.childNodes); law.dataset.receiver = receiver; }
    };
    const save = async () => {
      if (sending) return;
      if (busy) { again = true; return; }
      busy = true;
      try {
        const body = new URLSearchParams(new FormData(form));
        const answer = await fetch(form.dataset.draft, { method: "POST", body, headers: { "hx-request": "true" } });
        const html = await answer.text();
        if (answer.headers.get("x-session") === "locked") document.dispatchEvent(new Event("sammanhang:lock"));
        else if (html.includes("data-saved")) take(html);
        else if (saved) saved.textContent = form.dataset.notSaved;
      } catch { if (saved) saved.textContent = form.dataset.notSaved; }
      busy = false;
      if (again) { again = false; save(); }
    };
    const soon = () => { if (sending) return; clearTimeout(timer); timer = setTimeout(save, 1500); };
    form.addEventListener("input", soon);
    form.addEventListener("change", (event) => { if (event.target.id === "to") save(); else soon(); });
    form.addEventListener("submit", (event) => {
      if (event.defaultPrevented || event.submitter?.name?.endsWith("~do")) return; // the form within saves first
      if (sending) { event.preventDefault(); return; }
      sending = true; clearTimeout(timer);
    });
    window.addEventListener("pageshow", () => { sending = false; });
    document.getElementById("wrong")?.focus();
  }
})();
