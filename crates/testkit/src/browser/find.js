// What people call by its words: a field by its label, a button or a link by its text.
// arguments: what kind, its words. Returns the element, or null.
const [kind, words] = arguments;
const plain = (text) => (text ?? "").replace(/\s+/g, " ").trim();
// The text of a label without that of a control within it, such as a list's choices.
const textOf = (label) => {
  const copy = label.cloneNode(true);
  copy.querySelectorAll("input, select, textarea, button").forEach((control) => control.remove());
  return plain(copy.textContent);
};
const byIds = (ids) => plain((ids ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" "));
const kinds = {
  field: {
    among: "input:not([type=hidden]), select, textarea",
    names: (control) => [...(control.labels ?? [])].map(textOf)
      .concat(control.ariaLabel, byIds(control.getAttribute("aria-labelledby")), control.name),
  },
  button: {
    among: "button, input[type=submit], input[type=button], [role=button], summary",
    names: (button) => [button.innerText, button.ariaLabel, button.value, button.title],
  },
  link: {
    among: "a[href]",
    names: (link) => [link.innerText, link.ariaLabel],
  },
};
const { among, names } = kinds[kind];
const shown = [...document.querySelectorAll(among)].filter((found) => found.checkVisibility());
// Behind an open dialog nothing can be used.
const dialog = [...document.querySelectorAll("dialog[open]")].pop();
const usable = shown.filter((found) => dialog?.contains(found)).concat(shown.filter((found) => !dialog?.contains(found)));
const having = (fits) => usable.find((found) => names(found).map(plain).some((name) => name !== "" && fits(name)));
return having((name) => name === words) ?? having((name) => name.startsWith(words)) ?? null;
