// What the nodes of a cluster share: a PostgreSQL and a Redis of one story's own.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const POSTGRES = '/usr/lib/postgresql';

/** What keeps stories with a cluster from running here, if anything does. */
export const lacksCluster = await (async () => {
  const versions = await readdir(POSTGRES).catch(() => []);
  const redis = await which('redis-server');
  return versions.length > 0 && redis ? false : 'MISSING: PostgreSQL or Redis (Debian: postgresql, redis-server). The stories with two nodes do not run here.';
})();
if (lacksCluster && process.env.CI) throw new Error(lacksCluster);
if (lacksCluster) console.error(`################ ${lacksCluster}`);

export class Cluster {
  /** What each node is started with. */
  flags;

  #folder;
  #processes = [];
  #killWithUs = () => this.#processes.forEach((child) => child.kill('SIGKILL'));

  static async start() {
    const cluster = new Cluster();
    cluster.#folder = await mkdtemp(join(tmpdir(), 'parley-cluster-'));
    process.once('exit', cluster.#killWithUs);
    const [store, redis] = await Promise.all([cluster.#postgres(), cluster.#redis()]);
    cluster.flags = ['--store', store, '--broker', redis, '--state', redis];
    return cluster;
  }

  async #postgres() {
    const versions = (await readdir(POSTGRES)).map(Number).sort((a, b) => b - a);
    const bin = join(POSTGRES, String(versions[0]), 'bin');
    const data = join(this.#folder, 'data');
    const as = await this.#unprivileged();
    execFileSync(join(bin, 'initdb'), ['--pgdata', data, '--username', 'postgres', '--auth', 'trust', '--encoding', 'UTF8', '--no-sync'], { ...as, stdio: 'ignore' });
    const settings = ['listen_addresses=', 'fsync=off', 'max_connections=200'].flatMap((setting) => ['-c', setting]);
    await this.#run(join(bin, 'postgres'), ['-D', data, '-k', this.#folder, ...settings], as);
    return `postgres://postgres@/postgres?host=${encodeURIComponent(this.#folder)}`;
  }

  /** PostgreSQL refuses to run as root. */
  async #unprivileged() {
    if (process.getuid() !== 0) return {};
    const [uid, gid] = ['-u', '-g'].map((part) => Number(execFileSync('id', [part, 'postgres'])));
    await chown(this.#folder, uid, gid);
    return { uid, gid, cwd: this.#folder };
  }

  async #redis() {
    const port = await freePort();
    await this.#run('redis-server', ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no'], { cwd: tmpdir() });
    return `redis://127.0.0.1:${port}`;
  }

  /** Starts a program, and answers once it takes connections. */
  async #run(program, args, options) {
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#processes.push(child);
    const lines = [];
    const ready = new Promise((resolve) => {
      for (const out of [child.stdout, child.stderr]) {
        createInterface({ input: out }).on('line', (line) => {
          lines.push(line);
          if (/eady to accept connections/.test(line)) resolve(true);
        });
      }
    });
    const ended = once(child, 'exit').then(() => false);
    if (!(await Promise.race([ready, ended]))) throw new Error(`${program} ended before it was ready:\n${lines.join('\n')}`);
  }

  async close() {
    for (const child of this.#processes) {
      const ended = once(child, 'exit');
      child.kill('SIGQUIT'); // nothing of it is needed any more
      await ended;
    }
    process.removeListener('exit', this.#killWithUs);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function which(program) {
  const child = spawn('which', [program], { stdio: 'ignore' });
  const [code] = await once(child, 'exit');
  return code === 0;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
