"use strict";
(() => {
  const root = document.documentElement;
  const search = document.getElementById("search");
  const links = [...document.querySelectorAll("nav a")];
  const said = document.getElementById("said");

  // The language of the examples is kept where the browser lets us.
  const choose = (language) => {
    root.dataset.language = language;
    for (const button of document.querySelectorAll(".languages button")) {
      button.setAttribute("aria-pressed", String(button.dataset.language === language));
    }
  };
  let kept = null;
  try {
    kept = localStorage.getItem("language");
  } catch {}
  const buttons = [...document.querySelectorAll(".languages button")];
  choose(buttons.some((button) => button.dataset.language === kept) ? kept : root.dataset.language);
  for (const button of buttons) {
    button.addEventListener("click", () => {
      // What is read stays where it is while what is above changes its height.
      const reading = [...document.querySelectorAll("article:not([hidden])")].find((article) => article.getBoundingClientRect().bottom > 160);
      const top = reading?.getBoundingClientRect().top;
      choose(button.dataset.language);
      if (reading) scrollBy(0, reading.getBoundingClientRect().top - top);
      try {
        localStorage.setItem("language", button.dataset.language);
      } catch {}
    });
  }

  // Search narrows the contents and the page as one types. What is sought are names and the one line about each.
  const places = links.map((link) => {
    const place = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    const what = place.querySelector?.(".what")?.textContent ?? "";
    return { link, place: place.localName === "article" ? place : null, text: (link.textContent + " " + what).toLowerCase() };
  });
  const narrow = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const { link, place, text } of places) {
      const fits = words.every((word) => text.includes(word));
      found += fits;
      link.parentElement.hidden = !fits;
      if (place) place.hidden = !fits;
    }
    for (const section of document.querySelectorAll("nav section")) {
      section.hidden = !section.querySelector("li:not([hidden])");
    }
    for (const group of document.querySelectorAll("main .group")) {
      group.hidden = words.length > 0 && !group.querySelector("article:not([hidden])") && group.querySelector("article") !== null;
    }
    document.querySelector(".intro").hidden = words.length > 0;
    document.getElementById("nothing").hidden = found > 0;
    if (words.length > 0) scrollTo(0, 0);
  };
  search.addEventListener("input", narrow);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      const first = places.find(({ link }) => !link.parentElement.hidden);
      if (!first) return;
      search.value = "";
      narrow();
      location.hash = first.link.hash;
      search.blur();
    } else if (event.key === "Escape") {
      search.value = "";
      narrow();
      search.blur();
    }
  });
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey && document.activeElement !== search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  });

  for (const code of document.querySelectorAll(".code")) {
    const copy = document.createElement("button");
    copy.type = "button";
    copy.className = "copy";
    copy.textContent = "Copy";
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.querySelector("pre").textContent);
        copy.textContent = said.textContent = "Copied";
      } catch {
        const range = document.createRange();
        range.selectNodeContents(code.querySelector("pre"));
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        copy.textContent = said.textContent = "Selected";
      }
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    });
    code.append(copy);
  }

  // The contents show where one is.
  let here = null;
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        here?.classList.remove("here");
        here = links.find((link) => link.hash === "#" + entry.target.id) ?? null;
        here?.classList.add("here");
        if (matchMedia("(min-width: 821px)").matches) here?.scrollIntoView({ block: "nearest" });
      }
    },
    { rootMargin: "-80px 0px -75% 0px" },
  );
  for (const article of document.querySelectorAll("article")) seen.observe(article);
})();
