// The elements. Each lives in its own shadow root, shares the page's connection to its server, and ends when it is taken out of the page.

import { createRoot, type Root } from "react-dom/client";

import { emojiFrom, type EmojiSource } from "../conversation/emoji.js";
import { Connections, type TokenSource } from "./connections.js";
import { sheetOf } from "./styles.js";
import { Inside, type View } from "./view.js";

/** What the elements of a page have in common. */
interface Common {
  readonly connections: Connections;
  readonly sheet: CSSStyleSheet;
  /** the server where the script came from */
  readonly home: string | undefined;
}

const attributes = ["server", "room", "theme", "development-user"];

/** Makes the elements known to the page: <parley-chat> and <parley-live>. Does nothing where they are known. `home` is the server of those that name none. */
export function define(home: string | undefined): void {
  if (customElements.get("parley-chat")) return;
  const common: Common = { connections: new Connections(), sheet: sheetOf(), home };
  customElements.define("parley-chat", elementOf("chat", common));
  customElements.define("parley-live", elementOf("live", common));
}

/** The class of an element. */
export function elementOf(kind: View["kind"], { connections, sheet, home }: Common): CustomElementConstructor {
  return class extends HTMLElement {
    static readonly observedAttributes = attributes;

    readonly #shadow = this.attachShadow({ mode: "open" });
    #token: TokenSource | undefined;
    #root: Root | undefined;
    #joined: string | undefined;
    #emoji: View["emoji"];
    #byName: { user: string; source: TokenSource } | undefined;

    /** Brings the token of the page's user, for the server: set by the page, and asked anew for every session. */
    get token(): TokenSource | undefined {
      return this.#token;
    }

    set token(token: TokenSource | undefined) {
      if (token !== undefined && typeof token !== "function") throw new TypeError("token must be a function that returns the user's token");
      this.#token = token;
      this.#show();
    }

    connectedCallback(): void {
      if (Object.hasOwn(this, "token")) { // set before the script was there
        const { token } = this;
        delete (this as { token?: unknown }).token;
        this.token = token;
      }
      if (!this.#root) {
        this.#shadow.adoptedStyleSheets = [sheet];
        for (const type of ["keydown", "keypress", "keyup"]) this.#shadow.addEventListener(type, quiet);
        this.#root = createRoot(this.#shadow);
      }
      this.#show();
    }

    disconnectedCallback(): void {
      queueMicrotask(() => { // unless it has only moved
        if (!this.isConnected) this.#end();
      });
    }

    attributeChangedCallback(): void {
      this.#show();
    }

    #end(): void {
      this.#root?.unmount();
      this.#root = undefined;
      this.#leave();
    }

    #leave(): void {
      if (this.#joined !== undefined) connections.leave(this.#joined, this);
      this.#joined = undefined;
    }

    #show(): void {
      if (!this.#root || !this.isConnected) return;
      const server = origin(this.getAttribute("server") ?? home);
      const room = this.getAttribute("room") ?? "";
      const token = this.#token ?? this.#named(server);
      const missing = server === undefined ? "The attribute “server” must be the address of a Parley server."
        : room === "" ? "The attribute “room” must be the id of a room."
        : token === undefined ? "Waiting for the page to say who its user is: it sets the property “token”."
        : undefined;
      if (this.#joined !== server || missing) this.#leave();
      const theme = this.getAttribute("theme");
      let client: View["client"];
      if (!missing && server !== undefined && token) {
        client = connections.join(server, this, token);
        if (this.#joined !== server || !this.#emoji) this.#emoji = emojiFrom(server, memory());
        this.#joined = server;
      }
      this.#root.render(<Inside view={{ kind, room, theme: theme === "light" || theme === "dark" ? theme : undefined, missing, client, emoji: this.#emoji }} />);
    }

    /** For development: a server that runs with --dev signs a token for any name. */
    #named(server: string | undefined): TokenSource | undefined {
      const user = this.getAttribute("development-user");
      if (!user || server === undefined) return undefined;
      if (this.#byName?.user !== `${server} ${user}`) this.#byName = { user: `${server} ${user}`, source: () => developmentToken(server, user) };
      return this.#byName.source;
    }
  };
}

async function developmentToken(server: string, user: string): Promise<string> {
  const response = await fetch(`${server}/dev/token`, { method: "POST", body: JSON.stringify({ user }) });
  if (response.status === 404) throw new Error("“development-user” works with a server that runs with --dev alone.");
  const { token, error } = (await response.json()) as { token?: string; error?: { message?: string } };
  if (!token) throw new Error(error?.message ?? `the server answered ${response.status}`);
  return token;
}

/** A storage for emoji that were used last: an element leaves nothing in that of the page. */
function memory(): EmojiSource["storage"] {
  const kept = new Map<string, string>();
  const storage = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) };
  return () => storage;
}

/** The origin of a server's address; undefined if it is none. */
function origin(address: string | undefined): string | undefined {
  return address !== undefined && URL.canParse(address, location.href) ? new URL(address, location.href).origin : undefined;
}

/** What is typed here is no shortcut of the page's. */
function quiet(event: Event): void {
  event.stopPropagation();
}
