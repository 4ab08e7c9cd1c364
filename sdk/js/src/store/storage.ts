/**
 * Where a client keeps what outlives a page: the outbox, the inbox and the newest messages. Values are what structuredClone takes; keys are short texts.
 * One storage belongs to one user of one deployment. Calls take effect in the order in which they were made. A put or delete that fails costs
 * nothing but the copy.
 */
export interface Storage {
  /** All entries whose keys begin with prefix, ascending by key. */
  list(prefix: string): Promise<[key: string, value: unknown][]>;
  put(key: string, value: unknown): Promise<void>;
  delete(key: string): Promise<void>;
  /**
   * Tells whether a name is the caller's alone among all who use this storage, until the page ends. A name whose page is ending is waited for, a second at
   * most.
   */
  claim(name: string): Promise<boolean>;
}

/** A storage that is gone with the page, and the one of Node. */
export function memoryStorage(): Storage {
  const entries = new Map<string, unknown>();
  return {
    list: async (prefix) =>
      [...entries]
        .filter(([key]) => key.startsWith(prefix))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, value]) => [key, structuredClone(value)]),
    put: async (key, value) => void entries.set(key, structuredClone(value)),
    delete: async (key) => void entries.delete(key),
    claim: async () => true,
  };
}

/**
 * A storage in the browser's IndexedDB, shared by all its tabs. Name it after the user, so that whoever signs in next begins with their own. Where there is
 * no IndexedDB, or it cannot be opened (some private windows), it is a memoryStorage.
 */
export function browserStorage(name: string): Storage {
  const database = `parley ${name}`;
  const opened = open(database).catch(() => undefined);
  const memory = memoryStorage();
  const run = async <T>(db: IDBDatabase, mode: IDBTransactionMode, act: (entries: IDBObjectStore) => T): Promise<T> => {
    const transaction = db.transaction(table, mode);
    const requests = act(transaction.objectStore(table));
    await finished(transaction);
    return requests;
  };
  return {
    async list(prefix) {
      const db = await opened;
      if (!db) return memory.list(prefix);
      const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
      // In one transaction: other tabs write, too.
      const { keys, values } = await run(db, "readonly", (entries) => ({ keys: entries.getAllKeys(range), values: entries.getAll(range) }));
      return keys.result.map((key, i) => [String(key), values.result[i]]);
    },
    async put(key, value) {
      const db = await opened;
      if (!db) return memory.put(key, value);
      await run(db, "readwrite", (entries) => entries.put(value, key));
    },
    async delete(key) {
      const db = await opened;
      if (!db) return memory.delete(key);
      await run(db, "readwrite", (entries) => entries.delete(key));
    },
    claim: (name) =>
      new Promise((resolve) => {
        const locks = globalThis.navigator?.locks;
        if (locks === undefined) return resolve(true);
        // Held until the page ends: the function never returns.
        const hold = (): Promise<never> => new Promise(() => resolve(true));
        void locks.request(`${database} ${name}`, { signal: AbortSignal.timeout(patience) }, hold).catch((error: Error) => resolve(error.name !== "TimeoutError"));
      }),
  };
}

/** How long a page may take to end, in milliseconds: its names are free only then. */
const patience = 1000;
const table = "entries";

function open(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(table);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}
