// Making DOM nodes. Text only ever becomes text nodes, so nothing that a user
// has written can become markup.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * Makes an element. Properties: `class`, `on…` listeners, `data` for the data
 * set; everything else is an attribute (false, null and undefined: absent;
 * true: present). Children are nodes, texts, or nothing.
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'data') Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An icon from the sprite in index.html. Without a label it is decoration. */
export function icon(name, label) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', `icon icon-${name}`);
  if (label) {
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-label', label);
  } else {
    svg.setAttribute('aria-hidden', 'true');
  }
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A button that shows only an icon; its label is told and shown as a tooltip. */
export function iconButton(name, label, onclick, properties = {}) {
  return el('button', { type: 'button', class: 'icon-button', 'aria-label': label, title: label, onclick, ...properties }, icon(name));
}

/**
 * Makes a parent's children be those of `rows`, [{key, version, make()}], in
 * that order. A node stays while its key and version do, so that focus,
 * selection and animations survive.
 */
export function reconcile(parent, rows) {
  const held = parent.rowNodes ?? new Map();
  const next = new Map();
  let cursor = parent.firstChild;
  for (const { key, version, make } of rows) {
    const before = held.get(key);
    const node = before?.version === version ? before.node : make();
    next.set(key, { version, node });
    if (node === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(node, cursor);
    if (before && before.node !== node) {
      if (before.node === cursor) cursor = cursor.nextSibling;
      if (before.node.contains(document.activeElement)) node.focus();
      before.node.remove();
    }
  }
  for (const [key, { node }] of held) if (!next.has(key)) node.remove();
  parent.rowNodes = next;
}
