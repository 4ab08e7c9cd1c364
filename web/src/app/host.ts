// A token from the host page: the one that has opened or framed this one. This page says `parley.ready` whenever it needs a token, which tells nothing to
// whoever listens; it takes `parley.token` from the window that it asked, and only if the server's configuration names that window's origin.

/** How long a host may take to answer, in milliseconds. */
const patience = 15_000;

/** What hands over tokens. */
export class Host {
  readonly #window: Window;
  readonly #host: Window;
  readonly #origins: readonly string[];

  private constructor(window: Window, host: Window, origins: readonly string[]) {
    this.#window = window;
    this.#host = host;
    this.#origins = origins;
  }

  /** The host of a window; undefined if it has none, or if no origin may be one. */
  static of(window: Window, origins: readonly string[]): Host | undefined {
    const host = window.parent !== window ? window.parent : (window.opener as Window | null);
    return host && origins.length > 0 ? new Host(window, host, origins) : undefined;
  }

  /** Asks for a token. Rejects if none comes in time. */
  token(): Promise<string> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#window.removeEventListener("message", heard);
      };
      const heard = ({ source, origin, data }: MessageEvent<unknown>): void => {
        if (source !== this.#host || !this.#origins.includes(origin) || !isToken(data)) return;
        end();
        resolve(data.token);
      };
      const timer = setTimeout(() => {
        end();
        reject(new Error("The page that this one belongs to has not handed over a token."));
      }, patience);
      this.#window.addEventListener("message", heard);
      this.#host.postMessage({ type: "parley.ready" }, "*"); // says nothing that anybody may not know
    });
  }
}

function isToken(data: unknown): data is { type: "parley.token"; token: string } {
  const said = data as { type?: unknown; token?: unknown } | null;
  return typeof said === "object" && said !== null && said.type === "parley.token" && typeof said.token === "string";
}
