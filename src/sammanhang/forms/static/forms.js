// Forms: saved as one types, conditions told at once, keys for answers. The server decides; what it answers is put
// into the page part by part, never into a field somebody may be writing in. Everything works without this.
"use strict";
(() => {
  const WAIT = 1500, AGAIN = 15000;
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const by = (id) => document.getElementById(id);
  const keysOn = () => document.body.dataset.keys !== "off";

  for (const box of $$("[data-form]")) start(box);

  function start(box) {
    const form = box.closest("form");
    if (!form) return;
    let timer = 0, busy = false, dirty = false, failed = false, unsaved = false, leaving = false, waiting = null;

    // Answers as they stand on the page, under a field's name.
    const answers = (name) => $$(`[name="${CSS.escape(name)}"]`, form).filter((f) => (f.type !== "radio" && f.type !== "checkbox") || f.checked).map((f) => f.value.trim()).filter((v) => v !== "");
    const number = (text) => { const plain = text.replace(/[\s\u202f\u00a0]/g, "").replace("−", "-").replace(",", "."); return /^[+-]?\d+(\.\d+)?$/.test(plain) ? Number(plain) : NaN; };
    const asked = (name) => !$$(`[data-field="${CSS.escape(name)}"]`, form)[0]?.closest("[data-field][hidden]");
    const holds = (test) => {
      const given = test.names.filter(asked).flatMap(answers);
      if (test.op === "exists") return given.length > 0 === test.value;
      const values = test.number ? given.map(number).filter((n) => !Number.isNaN(n)) : given;
      if (test.op === "=") return values.some((v) => v === test.value);
      if (test.op === "!=") return !values.some((v) => v === test.value);
      const how = { ">": (v) => v > test.value, "<": (v) => v < test.value, ">=": (v) => v >= test.value, "<=": (v) => v <= test.value }[test.op];
      return how ? values.some(how) : false;
    };
    // What plain conditions say, at once; a few rounds, for one may lead to another.
    const enable = () => {
      for (let round = 0; round < 5; round += 1) {
        let changed = false;
        for (const field of $$("[data-when]", form)) {
          const when = JSON.parse(field.dataset.when);
          const on = when.any ? when.tests.some(holds) : when.tests.every(holds);
          if (field.hidden === on) { field.hidden = !on; changed = true; }
        }
        if (!changed) return;
      }
    };
    const clears = () => { for (const rows of $$("[data-numbered]", form)) { const clear = rows.closest("fieldset")?.querySelector(".ff-clear"); if (clear) clear.hidden = !rows.querySelector(":checked"); } };

    // Saving: the whole form, some time after the last change; one at a time, and again when it failed.
    const save = async (submitter) => {
      if (!box.dataset.save) return;
      if (busy) { dirty = true; if (submitter) setTimeout(() => save(submitter), 200); return; }
      busy = true; dirty = false; unsaved = false; clearTimeout(timer);
      const body = new FormData(form);
      const files = [...body.values()].some((v) => v instanceof File && v.size);
      if (!files) for (const [name, value] of [...body]) if (value instanceof File) body.delete(name);
      if (submitter) body.append(submitter.name, submitter.value);
      let answer;
      try {
        answer = await fetch(box.dataset.save, { method: "POST", body: files ? body : new URLSearchParams(body), headers: { "hx-request": "true" }, redirect: "error" });
      } catch { answer = null; }
      busy = false;
      if (waiting) { const button = waiting; waiting = null; if (answer?.status === 200) marks(new DOMParser().parseFromString(await answer.text(), "text/html")); form.requestSubmit(button); return; }
      if (answer?.headers.get("x-session") === "locked") { dirty = true; document.dispatchEvent(new Event("sammanhang:lock")); timer = setTimeout(save, AGAIN); return; }
      if (!answer || (answer.status !== 200 && answer.status !== 409)) {
        failed = true; by("ff-saved").setAttribute("role", "alert"); by("ff-saved").textContent = by("ff-saved").dataset.failed;
        timer = setTimeout(save, AGAIN); return;
      }
      failed = false; by("ff-saved").removeAttribute("role");
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (submitter || files) replace(fresh, submitter); else take(fresh);
      conflict(fresh);
      if (dirty) later();
    };
    const later = () => { unsaved = true; const said = by("ff-saved"); if (said && !failed) said.textContent = said.dataset.waiting; clearTimeout(timer); timer = setTimeout(save, WAIT); };

    // The server's view, part by part: what is asked, faults, sources, calculated values, scores, what is left.
    const alike = (a, b) => a.childNodes.length === b.childNodes.length && [...a.childNodes].every((n, i) => n.isEqualNode(b.childNodes[i]));
    const take = (fresh) => {
      const here = document.activeElement?.closest("[data-field]")?.dataset.field;
      for (const field of $$("[data-field]", fresh)) {
        const mine = by(field.id);
        if (mine && mine.hidden !== field.hidden && !field.dataset.when) mine.hidden = field.hidden;
        if (!mine) { replace(fresh); return; }
        const offered = (f) => $$(":scope > .ff-q [value]", f).filter((o) => o.matches("option, .choice > input")).map((o) => o.value).join("\n");
        if (offered(mine) !== offered(field) && !mine.contains(document.activeElement)) mine.replaceWith(field.cloneNode(true));
      }
      for (const part of $$("[data-part]", fresh)) {
        const mine = by(part.id);
        if (!mine || alike(mine, part) || (part.id === "ff-saved" && unsaved)) continue;
        const field = mine.closest("[data-field]")?.dataset.field;
        if (part.classList.contains("ff-faults") && field === here) continue; // not while one still writes there
        mine.replaceChildren(...[...part.childNodes].map((n) => n.cloneNode(true)));
        const input = by(part.id.replace(/-faults$/, ""));
        if (part.classList.contains("ff-faults") && input?.matches("input, textarea, select")) input.toggleAttribute("aria-invalid", part.textContent.trim() !== "");
      }
      marks(fresh);
    };
    const marks = (fresh) => {
      for (const mark of $$("[data-mark], [data-kept]", fresh)) {
        const mine = form.elements[mark.name];
        if (mine && "value" in mine) mine.value = mark.value;
      }
    };
    // Rows that came or went: the whole form anew, the place kept.
    const replace = (fresh, submitter) => {
      const made = fresh.querySelector("[data-form]");
      const [verb, name] = (submitter?.value ?? "").split(/:(.*)/s);
      const writing = document.activeElement, active = writing?.id, text = writing?.matches("input[type=text], textarea") ? writing.value : null, at = window.scrollY;
      box.replaceChildren(...made.childNodes);
      window.scrollTo(0, at);
      finders(); sliders(); enable(); clears();
      let target = active && by(active);
      if (verb === "add") target = $$(`[data-field^="${CSS.escape(name)}["]`, box).filter((f) => f.parentElement.closest("[data-field]")?.dataset.field !== f.dataset.field && /\[\d+\]$/.test(f.dataset.field)).pop()?.querySelector("input, textarea, select") ?? target;
      if (verb === "clear") target = $$(`[name="${CSS.escape(name)}"]`, box)[0] ?? target;
      if (!submitter && target && text !== null) target.value = text;
      target?.focus({ preventScroll: verb !== "add" });
    };
    const conflict = (fresh) => {
      const told = fresh.querySelector("[data-conflict]");
      by("ff-conflict")?.remove();
      if (told) { box.prepend(told); clearTimeout(timer); }
    };

    form.addEventListener("input", (event) => {
      const field = event.target;
      if (field.type === "range") { delete field.dataset.untouched; field.parentElement.querySelector("output").textContent = field.value.replace(".", document.documentElement.lang === "sv" ? "," : "."); }
      alone(field); own(field); enable(); clears(); later();
    });
    form.addEventListener("change", (event) => { if (event.target.matches("[data-file]") && box.dataset.save) { save(); return; } enable(); clears(); later(); });
    form.addEventListener("focusout", (event) => { if (event.target.name && (failed || timer)) later(); });
    // "None of these" and the others put each other out.
    const alone = (field) => {
      if (field.type !== "checkbox" || !field.checked || !field.closest(".ff-rows")) return;
      for (const other of $$(`[name="${CSS.escape(field.name)}"]`, form)) if (other !== field && (field.dataset.alone !== undefined || other.dataset.alone !== undefined)) other.checked = false;
    };
    // Words of one's own choose "Other"; a listed answer chosen instead lets them be.
    const own = (field) => {
      if (!field.name?.endsWith(".other") || !field.value) return;
      const radio = $$(`input[type=radio][name="${CSS.escape(field.name.slice(0, -6))}"][value="~other"]`, form)[0];
      if (radio) radio.checked = true;
    };
    // Buttons of the form itself are done here when they can be; else the page does them.
    form.addEventListener("submit", (event) => {
      const button = event.submitter;
      clearTimeout(timer);
      if (!button?.name?.endsWith("~do") || !box.dataset.save) {
        if (busy) { event.preventDefault(); waiting = button; } else leaving = true;
        return;
      }
      event.preventDefault();
      if (button.value === "show:") { save(); return; }
      save(button);
    });
    // A slider nobody has touched is no answer.
    form.addEventListener("formdata", (event) => { for (const slider of $$("[data-untouched]", form)) event.formData.delete(slider.name); });

    // 1 … 9 choose an answer where the focus stands among them; Ctrl-Enter is the form's main button.
    box.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !keysOn()) return;
      const rows = event.target.closest("[data-numbered]");
      if (!rows || event.target.type === "text" || !/^[1-9]$/.test(event.key)) return;
      const chosen = rows.querySelector(`[data-digit="${event.key}"]`);
      if (!chosen) return;
      event.preventDefault(); event.stopPropagation();
      chosen.checked = true; chosen.focus();
      chosen.dispatchEvent(new Event("input", { bubbles: true }));
    });

    const sliders = () => { for (const s of $$("[data-untouched]", box)) s.closest(".ff-slider").querySelector("output").textContent = ""; };
    const finders = () => { for (const find of $$("[data-find]", box)) finder(find); };

    // Looking for a code: hits under the field, arrows and Enter; what is chosen stands above it.
    function finder(find) {
      const input = find.querySelector("input[name$='.search']"), hits = find.querySelector(".ff-hits"), picked = find.querySelector(".ff-picked");
      if (!find.dataset.find || !input) return;
      find.querySelector("button.ff-plain").hidden = true;
      input.setAttribute("role", "combobox"); input.setAttribute("aria-expanded", "false"); input.setAttribute("aria-controls", hits.id); input.setAttribute("aria-autocomplete", "list");
      let asking = 0;
      const shut = () => { hits.hidden = true; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); };
      const rows = () => $$("[data-key]", hits);
      const mark = (row) => { for (const r of rows()) r.setAttribute("aria-selected", String(r === row)); if (row) { row.id ||= `${hits.id}-${rows().indexOf(row)}`; input.setAttribute("aria-activedescendant", row.id); row.scrollIntoView({ block: "nearest" }); } };
      const look = async () => {
        const mine = ++asking, text = input.value.trim();
        if (!text) { shut(); return; }
        const body = new URLSearchParams({ link: find.dataset.link, q: text, csrf: form.elements.csrf.value });
        let answer;
        try { answer = await fetch(find.dataset.find, { method: "POST", body, headers: { "hx-request": "true" } }); } catch { return; }
        if (!answer.ok || mine !== asking) return;
        hits.replaceChildren(...new DOMParser().parseFromString(await answer.text(), "text/html").body.childNodes);
        hits.hidden = false; input.setAttribute("aria-expanded", "true"); mark(rows()[0]);
      };
      const pick = (row) => {
        const many = find.dataset.many === "yes";
        if (!many) picked.replaceChildren();
        const label = document.createElement("label"), box2 = document.createElement("input"), said = document.createElement("span");
        label.className = "choice"; box2.type = many ? "checkbox" : "radio"; box2.name = find.dataset.name; box2.value = row.dataset.key; box2.checked = true; said.textContent = row.textContent;
        label.append(box2, said); picked.append(label);
        input.value = ""; shut();
        box2.dispatchEvent(new Event("input", { bubbles: true }));
      };
      let wait = 0;
      input.addEventListener("input", (event) => { event.stopPropagation(); clearTimeout(wait); wait = setTimeout(look, 150); later(); });
      input.addEventListener("keydown", (event) => {
        const all = rows(), at = all.findIndex((r) => r.getAttribute("aria-selected") === "true");
        if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); if (all.length) mark(all[(at + (event.key === "ArrowDown" ? 1 : all.length - 1)) % all.length]); }
        else if (event.key === "Enter" && !hits.hidden && !event.ctrlKey) { event.preventDefault(); if (all[at]) pick(all[at]); }
        else if (event.key === "Escape" && !hits.hidden) { event.stopPropagation(); shut(); }
      });
      hits.addEventListener("mousedown", (event) => { event.preventDefault(); const row = event.target.closest("[data-key]"); if (row) pick(row); });
      input.addEventListener("blur", () => setTimeout(shut, 150));
    }

    finders(); sliders(); enable(); clears();
    window.addEventListener("pagehide", () => { if ((dirty || unsaved) && !leaving && box.dataset.save) navigator.sendBeacon?.(box.dataset.save, new URLSearchParams([...new FormData(form)].filter(([, v]) => typeof v === "string"))); });
    if (by("ff-wrong")?.textContent.trim()) by("ff-wrong").focus();
  }
})();
