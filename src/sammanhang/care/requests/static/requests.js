// A draft saves itself as one writes.
"use strict";
(() => {
  const part = (html) => new DOMParser().parseFromString(html, "text/html").body;
  const fill = (box, fresh) => { if (box.textContent.trim() !== fresh.textContent.trim()) box.replaceChildren(...fresh.childNodes); };

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
