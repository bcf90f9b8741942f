// What the focused element is called, as a screen reader would have it; empty: nothing is focused.
const plain = (text) => (text ?? "").replace(/\s+/g, " ").trim();
const focused = document.activeElement;
if (!focused || focused === document.body) return "";
const names = [focused.ariaLabel, [...(focused.labels ?? [])].map((label) => label.textContent).join(" "), focused.innerText,
  focused.name, focused.id, focused.tagName.toLowerCase()];
return names.map(plain).find((name) => name !== "");
