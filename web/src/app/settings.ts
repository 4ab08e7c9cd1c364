/** What the server has told the page, in its document. */
export interface Settings {
  /** origins whose pages may hand over a user's token */
  readonly origins: readonly string[];
  /** people sign in with a name: the server signs tokens for anyone who asks */
  readonly dev: boolean;
}

/** Reads them. A page that no server has told anything is one that is being worked on, with a server in development mode behind it. */
export function settingsOf(document: Document): Settings {
  const told = document.querySelector<HTMLMetaElement>('meta[name="parley-settings"]')?.content;
  return told ? (JSON.parse(told) as Settings) : { origins: [], dev: true };
}
