// Texts of messages that were found, with what they were found by. The server folds case and accents; so is done here.

/** A piece of a text; `hit`: it is one of the words. */
export interface Piece {
  readonly text: string;
  readonly hit: boolean;
}

/** One line of a text around the first of the words. */
export function around(text: string, query: string, length = 120): string {
  const line = text.replace(/\s+/g, " ").trim();
  const at = line.search(matcher(query) ?? /$/);
  if (line.length <= length || at < length / 2) return cut(line, 0, length);
  return `…${cut(line, at - length / 3, length)}`;
}

function cut(line: string, from: number, length: number): string {
  const rest = [...line.slice(Math.max(0, Math.floor(from)))];
  return rest.length > length ? `${rest.slice(0, length - 1).join("")}…` : rest.join("");
}

/** Cuts a text at the words of a query. */
export function highlighted(text: string, query: string): Piece[] {
  const words = matcher(query);
  if (!words) return [{ text, hit: false }];
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(new RegExp(words, "giu"))) {
    if (match.index > end) pieces.push({ text: text.slice(end, match.index), hit: false });
    pieces.push({ text: match[0], hit: true });
    end = match.index + match[0].length;
  }
  if (end < text.length) pieces.push({ text: text.slice(end), hit: false });
  return pieces;
}

/** What finds the words of a query in a text; undefined if it has none. Letters stand for themselves with any accent. */
function matcher(query: string): RegExp | undefined {
  const words = query.match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];
  if (words.length === 0) return undefined;
  const folded = words.map((word) => [...word.normalize("NFD").replace(/\p{M}/gu, "")].map((letter) => `${accented(letter)}\\p{M}*`).join(""));
  return new RegExp(`(?<![\\p{L}\\p{N}])(?:${folded.join("|")})`, "iu");
}

const accents: Record<string, string> = { a: "aàáâãäå", c: "cç", e: "eèéêë", i: "iìíîï", n: "nñ", o: "oòóôõö", u: "uùúûü", y: "yýÿ" };

function accented(letter: string): string {
  const all = accents[letter.toLowerCase()];
  return all ? `[${all}]` : letter;
}
