// A request that is open renews itself when the other side does something; a draft saves itself as one writes.
"use strict";
(() => {
  const say = (text) => { const said = document.getElementById("said"); if (said) said.textContent = text; };
  const live = document.getElementById("live");
  // Somebody writing is not disturbed: then only a quiet line tells that something is new.
  const writing = () => live && [...live.querySelectorAll("textarea")].some((t) => t.value.trim() !== t.defaultValue.trim());
  const renew = async () => {
    const answer = await fetch(live.dataset.part, { headers: { "hx-request": "true" } });
    if (!answer.ok) return;
    const html = await answer.text();
    if (writing()) { live.querySelector(".now")?.setAttribute("data-newer", "1"); say(document.documentElement.lang === "en" ? "The request has changed." : "Begäran har ändrats."); return; }
    live.innerHTML = html;
  };
  if (live) document.addEventListener("sammanhang:changed", renew);

  const form = document.querySelector("form[data-draft]");
  if (form) {
    const saved = document.getElementById("saved"), remarks = document.getElementById("remarks");
    let timer = 0, busy = false, again = false, sending = false;
    const save = async () => {
      if (busy) { again = true; return; }
      busy = true;
      try {
        const body = new URLSearchParams(new FormData(form));
        const answer = await fetch(form.dataset.draft, { method: "POST", body, headers: { "hx-request": "true" } });
        if (answer.ok) {
          const part = document.createElement("template");
          part.innerHTML = await answer.text();
          const line = part.content.querySelector("[data-saved]"), notes = part.content.querySelector("[data-remarks]");
          if (line && saved) saved.textContent = line.textContent;
          if (notes && remarks) remarks.innerHTML = notes.innerHTML;
        } else if (answer.headers.get("x-session") === "locked") document.dispatchEvent(new Event("sammanhang:lock"));
        else if (saved) saved.textContent = form.dataset.notSaved;
      } catch { if (saved) saved.textContent = form.dataset.notSaved; }
      busy = false;
      if (again) { again = false; save(); }
    };
    const soon = () => { if (sending) return; clearTimeout(timer); timer = setTimeout(save, 1500); };
    form.addEventListener("input", soon);
    form.addEventListener("change", soon);
    form.addEventListener("submit", () => { sending = true; clearTimeout(timer); });
    document.addEventListener("keydown", (event) => { if ((event.ctrlKey || event.metaKey) && event.key === "Enter") { event.preventDefault(); form.requestSubmit(form.querySelector("[data-send]")); } });
  }
})();
