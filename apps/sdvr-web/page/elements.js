// Making elements. Whatever comes from a camera becomes text, never markup.

/** An element with a class, and with text or other elements in it. */
export function element(name, className, ...content) {
  const made = document.createElement(name);
  if (className) {
    made.className = className;
  }
  made.append(...content);
  return made;
}

/** Sets a text only where it differs: a screen reader need not look again. */
export function setText(where, text) {
  if (where.textContent !== text) {
    where.textContent = text;
  }
}
