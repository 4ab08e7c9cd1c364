// Somebody at a browser: finds things by the roles and names that a person goes by, and waits as a person would.

import assert from 'node:assert/strict';

const PATIENCE_MS = 15_000;
const LOOK_AGAIN_MS = 40;
/** What a message says, apart from its author, time and marks: the one thing here that no role tells. */
const TEXT = '.text';

/** Repeats a check until it passes; fails as it failed last. */
export async function eventually(check) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}

export class Person {
  name;
  page;
  /** What the browser complained of: console errors and warnings, exceptions, violations of the policy. */
  complaints = [];

  constructor(name, page) {
    this.name = name;
    this.page = page;
    this.conversations = page.getByRole('navigation', { name: 'Conversations' });
    this.log = page.getByRole('log', { name: 'Messages' });
    this.dialog = page.getByRole('dialog');
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('console', (message) => ['error', 'warning'].includes(message.type()) && this.complaints.push(message.text()));
    page.on('pageerror', (error) => this.complaints.push(String(error)));
  }

  async signIn() {
    await this.page.getByRole('textbox', { name: 'Your name' }).fill(this.name);
    await this.#press('Start chatting');
    await this.page.getByRole('button', { name: 'Sign out' }).waitFor(); // shown once the server has said who one is
  }

  /** Signs in with a token, as where the server gives none for a name. */
  async signInWith(token) {
    await this.page.getByRole('textbox', { name: 'Token' }).fill(token);
    await this.#press('Sign in');
    await this.page.getByRole('button', { name: 'Sign out' }).waitFor();
  }

  /** Waits until the page says that the connection is lost. */
  async cutOff() {
    await this.#banner.waitFor();
  }

  /** Waits until the page says so no more: nothing is left of the banner. */
  async backAgain() {
    await this.#banner.waitFor({ state: 'detached' });
    assert.equal(await this.page.getByRole('status').count(), 1, 'only the place for notices is left');
  }

  get #banner() {
    return this.page.getByRole('status').filter({ hasText: 'Connection lost' });
  }

  /** Takes the network from the browser, or gives it back. */
  async offline(is) {
    await this.page.context().setOffline(is);
    await (is ? this.cutOff() : this.backAgain());
  }

  /** Turns the system to light or dark, and waits until the page is. */
  async scheme(colorScheme) {
    await this.page.emulateMedia({ colorScheme });
    await this.page.evaluate(async (scheme) => {
      const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
      while (!matchMedia(`(prefers-color-scheme: ${scheme})`).matches) await frame();
      await frame();
      await frame();
    }, colorScheme);
  }

  // -- conversations ----------------------------------------------------------

  async startDirect(other) {
    await this.#begin('Direct');
    await this.dialog.getByRole('combobox', { name: 'With' }).fill(other);
    await this.#start();
  }

  async startGroup(name, members) {
    await this.#begin('Group');
    await this.dialog.getByRole('textbox', { name: 'Name' }).fill(name);
    const field = this.dialog.getByRole('combobox', { name: 'Members' });
    for (const member of members) {
      await field.fill(member);
      await field.press('Enter');
    }
    await this.#start();
  }

  async startChannel(name, topic) {
    await this.#begin('Channel');
    await this.dialog.getByRole('textbox', { name: 'Name' }).fill(name);
    await this.dialog.getByRole('textbox', { name: 'Topic' }).fill(topic);
    await this.#start();
  }

  async #begin(kind) {
    await this.#press('New conversation');
    await this.dialog.getByText(kind, { exact: true }).click();
  }

  async #start() {
    await this.dialog.getByRole('button', { name: 'Start' }).click();
    await this.dialog.waitFor({ state: 'detached' });
  }

  async #press(button) {
    await this.page.getByRole('button', { name: button }).click();
  }

  /** A conversation in the list. */
  entry(name) {
    return this.conversations.getByRole('link').filter({ has: this.page.getByText(name, { exact: true }) });
  }

  async open(name) {
    await this.entry(name).click();
    await this.page.getByRole('heading', { name, level: 2 }).waitFor();
  }

  /** How many messages wait, as the list says. */
  async unread(name) {
    const badges = this.entry(name).getByLabel(/ unread$/);
    const [label] = await badges.evaluateAll((found) => found.map((badge) => badge.ariaLabel)); // at once: the badge may go while one looks
    return label === undefined ? 0 : parseInt(label, 10);
  }

  // -- messages ---------------------------------------------------------------

  get composer() {
    return this.page.getByRole('textbox', { name: 'Message' });
  }

  async say(...texts) {
    for (const text of texts) {
      await this.composer.fill(text);
      await this.composer.press('Enter');
    }
  }

  /** The row of the message with this text; not those that quote it. */
  message(text) {
    return this.log.getByRole('listitem').filter({ has: this.page.locator(TEXT).and(this.page.getByText(text, { exact: true })) });
  }

  /** Uses the toolbar of a message; in a narrow column that is a menu. */
  async act(text, name) {
    await this.message(text).hover();
    const toolbar = this.message(text).getByRole('toolbar', { name: 'Message' });
    const [tool, more] = [name, 'More'].map((name) => toolbar.getByRole('button', { name, exact: true }));
    await tool.or(more).click();
    const menu = this.page.getByRole('menu', { name: 'Message' });
    if (await menu.isVisible()) await menu.getByRole('menuitem', { name, exact: true }).click();
  }

  /** The texts of the messages that are shown, from the top. */
  texts() {
    return this.log.getByRole('listitem').locator(TEXT).allTextContents();
  }

  /** What the mark beside an own message says: Sent, Delivered, Read… */
  async status(text) {
    return this.message(text).getByRole('img').getAttribute('aria-label', { timeout: 500 });
  }

  /** The own messages that are marked as stored by the server. */
  acknowledged() {
    const marked = (status) => this.log.getByRole('listitem').filter({ has: this.page.getByRole('img', { name: status, exact: true }) });
    const stored = marked('Sent').or(marked('Delivered')).or(marked('Read'));
    return stored.locator(TEXT).allTextContents();
  }

  /** Waits until the conversation consists of exactly these messages, in this order. */
  async sees(...texts) {
    await eventually(async () => assert.deepEqual(await this.texts(), texts, `what ${this.name} sees`));
  }

  /** Waits until an own message is marked so. */
  async sent(text, status) {
    await eventually(async () => assert.equal(await this.status(text), status, `“${text}” to ${this.name}`));
  }

  /** Everything in the page that could be read, also what is not shown. */
  everything() {
    return this.page.evaluate(() => document.documentElement.outerHTML);
  }
}
