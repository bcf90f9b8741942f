// The elements that stick out of a page which scrolls sideways.
const page = document.documentElement;
if (page.scrollWidth <= page.clientWidth) return [];
const name = (found) => [found.tagName.toLowerCase(), ...found.classList].join(".") + (found.id ? `#${found.id}` : "");
const wide = [...document.body.querySelectorAll("*")].filter((found) => found.getBoundingClientRect().right > page.clientWidth + 0.5);
return [`the page: ${page.scrollWidth} px in a window of ${page.clientWidth} px`].concat(wide.slice(0, 10).map(name));
