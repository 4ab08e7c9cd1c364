// One server process of the real binary, with a data folder of its own.

import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { artifact } from './artifacts.js';

const LOG_LINES = 60;

export class Server {
  /** HOST:PORT; stays the same over restarts. */
  addr = '127.0.0.1:0';
  /** The last lines of what it has logged. */
  log = [];

  #data;
  #flags;
  #process = null;
  #killWithUs = () => this.#process?.kill('SIGKILL');

  /** Starts a server with an empty data folder, and answers once it listens. */
  static async start(flags = ['--dev']) {
    const server = new Server();
    server.#flags = flags;
    server.#data = await mkdtemp(join(tmpdir(), 'parley-browser-'));
    process.once('exit', server.#killWithUs);
    await server.restart();
    return server;
  }

  /** Starts it again, after kill(), on the same port and folder. */
  async restart() {
    const args = ['serve', ...this.#flags, '--data', this.#data, '--listen', this.addr, '--log-format', 'json'];
    const child = spawn(artifact('parley'), args, { stdio: ['ignore', 'inherit', 'pipe'] });
    this.#process = child;
    const listening = new Promise((resolve) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        this.log = [...this.log, line].slice(-LOG_LINES);
        const entry = line.startsWith('{') ? JSON.parse(line) : {}; // what --dev greets with is no log line
        if (entry.msg === 'listening') resolve(entry.addr);
      });
    });
    const ended = once(child, 'exit').then(() => null);
    this.addr = await Promise.race([listening, ended]);
    if (!this.addr) throw new Error(`The server ended before it listened:\n${this.log.join('\n')}`);
  }

  /** Pulls the plug, and answers once the process is gone. */
  kill() {
    return this.#end('SIGKILL');
  }

  /** Asks it to end, which it does once its sessions have moved away. */
  drain() {
    return this.#end('SIGTERM');
  }

  async #end(signal) {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill(signal);
    await ended;
  }

  /** The file with the secret that signs tokens. */
  get secretFile() {
    const given = this.#flags.indexOf('--secret-file') + 1;
    return given > 0 ? this.#flags[given] : join(this.#data, 'secret');
  }

  /** A token of a user, as an application's back end signs it. */
  async token(user, { seconds = 3600 } = {}) {
    const secret = (await readFile(this.secretFile, 'utf8')).trim();
    const now = Math.floor(Date.now() / 1000);
    const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
    const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: user, iat: now, exp: now + seconds })}`;
    return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
  }

  /** Makes a call as a user, from outside of any browser. */
  async call(user, method, params) {
    const headers = { Authorization: `Bearer ${await this.token(user)}` };
    const response = await fetch(`http://${this.addr}/v1/${method}`, { method: 'POST', headers, body: JSON.stringify(params) });
    const body = await response.json();
    if (!response.ok) throw new Error(`${method} as ${user}: ${JSON.stringify(body)}`);
    return body;
  }

  /** Kills it and removes its data. */
  async close() {
    await this.kill();
    process.removeListener('exit', this.#killWithUs);
    await rm(this.#data, { recursive: true });
  }
}
