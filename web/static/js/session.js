// Who this tab is: its token and its device.
//
// Both live in sessionStorage, so that another tab can be another user, and so
// that nothing outlives the tab.

import { newId } from './ids.js';

const TOKEN_KEY = 'parley.session';
const DEVICE_KEY = 'parley.device';

/** The server does not hand out tokens by name. */
export class SignInByNameOff extends Error {}

export class Session {
  #storage;
  #fetch;
  #current; // {token, person?: {user, name}}; person only where a new token can be had by name

  constructor({ storage, fetch }) {
    this.#storage = storage;
    this.#fetch = fetch;
    this.#current = JSON.parse(storage.getItem(TOKEN_KEY) ?? 'null');
  }

  get signedIn() {
    return this.#current !== null;
  }

  /** The name given at sign-in, if any. */
  get person() {
    return this.#current?.person;
  }

  get device() {
    const known = this.#storage.getItem(DEVICE_KEY);
    return known ?? this.newDevice();
  }

  /** Makes this tab a device of its own: a duplicated tab begins with its twin's. */
  newDevice() {
    const device = newId();
    this.#storage.setItem(DEVICE_KEY, device);
    return device;
  }

  /** Signs in by name; only a server in development mode allows that. */
  async signIn(person) {
    this.#keep({ token: await this.#tokenFor(person), person });
  }

  useToken(token) {
    this.#keep({ token });
  }

  /** The token, or null where there is none (any more). `renew` asks for another one than the last. */
  async token(renew) {
    if (!renew) return this.#current?.token ?? null;
    const person = this.#current?.person;
    if (!person) return null;
    await this.signIn(person);
    return this.#current.token;
  }

  signOut() {
    this.#storage.clear();
    this.#current = null;
  }

  async #tokenFor({ user, name }) {
    const response = await this.#fetch('/dev/token', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ user, name }),
    });
    if (response.status === 404) throw new SignInByNameOff();
    const answer = await response.json().catch(() => null);
    if (!response.ok) throw new Error(answer?.error?.message ?? `The server answered ${response.status}.`);
    return answer.token;
  }

  #keep(current) {
    this.#current = current;
    this.#storage.setItem(TOKEN_KEY, JSON.stringify(current));
  }
}
