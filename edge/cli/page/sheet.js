(() => {
  "use strict";

  const by = (id) => document.getElementById(id);
  const data = JSON.parse(by("data").textContent);
  const unpacked = {};

  const option = (list, value, text) => list.append(new Option(text, value));
  for (const [tag, name] of Object.entries(data.languages)) option(by("language"), tag, `${name} (${tag})`);
  for (const view of data.views) option(by("view"), view, view);
  for (const [name, [width, height]] of Object.entries(data.screens)) {
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: name });
    box.checked = name === "390";
    label.append(box, ` ${width} × ${height}`);
    by("screens").append(label);
  }

  const unpack = async (language) => {
    if (!unpacked[language]) {
      const bytes = Uint8Array.from(atob(data.packed[language]), (letter) => letter.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      unpacked[language] = JSON.parse(await new Response(stream).text());
    }
    return unpacked[language];
  };

  /** Returns a page with its style sheets, in a scheme. A frame cannot be told its scheme in all browsers. */
  const page = (html, scheme) => {
    const whole = html.replace(/<style>(\d+)<\/style>/g, (_, at) => `<style>${data.styles[at]}</style>`);
    return whole
      .replace(/\(\s*prefers-color-scheme\s*:\s*(light|dark)\s*\)/g, (_, wanted) =>
        wanted === scheme ? "(min-width: 0)" : "(max-width: 0)")
      .replace(/color-scheme:\s*light dark/g, `color-scheme:${scheme}`)
      .replaceAll('content="light dark"', `content="${scheme}"`);
  };

  const frame = (html, view, [width, height], scheme) => {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = `${width} × ${height}, ${scheme}`;
    const scale = Math.min(Number(by("size").value), (innerWidth - 50) / width);
    const screen = document.createElement("div");
    screen.className = "screen";
    screen.style.cssText = `width: ${width * scale + 2}px; height: ${height * scale + 2}px`;
    const inner = document.createElement("iframe");
    inner.title = `${view}, ${width} × ${height}, ${scheme}`;
    inner.setAttribute("sandbox", "");
    inner.loading = "lazy";
    inner.width = width;
    inner.height = height;
    inner.style.transform = `scale(${scale})`;
    inner.style.colorScheme = scheme;
    inner.srcdoc = page(html, scheme);
    screen.append(inner);
    figure.append(caption, screen);
    return figure;
  };

  const chosen = (id) => [...by(id).querySelectorAll("input:checked")].map((box) => box.value);

  const show = async () => {
    const language = by("language").value;
    const documents = await unpack(language);
    const names = by("view").value ? [by("view").value] : data.views;
    const screens = chosen("screens");
    const schemes = chosen("schemes");
    by("views").replaceChildren(...names.map((name) => {
      const section = document.createElement("section");
      const heading = document.createElement("h2");
      heading.textContent = name;
      const frames = document.createElement("div");
      frames.className = "frames";
      for (const screen of screens) {
        for (const scheme of schemes) frames.append(frame(documents[name], name, data.screens[screen], scheme));
      }
      section.append(heading, frames);
      return section;
    }));
    by("count").textContent = `${names.length * screens.length * schemes.length} pages`;
    const asked = new URLSearchParams({ language, view: by("view").value, size: by("size").value, screens, schemes });
    history.replaceState(null, "", `#${asked}`); // so that a reload and a bookmark keep the choice
  };

  const recall = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const id of ["language", "view", "size"]) {
      if ([...by(id).options].some((each) => each.value === asked.get(id))) by(id).value = asked.get(id);
    }
    for (const id of ["screens", "schemes"]) {
      if (!asked.get(id)) continue;
      for (const box of by(id).querySelectorAll("input")) box.checked = asked.get(id).split(",").includes(box.value);
    }
  };

  recall();
  by("choices").addEventListener("change", show);
  by("choices").addEventListener("submit", (event) => event.preventDefault());
  show();
})();
