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
  /** Resolves once nobody else who uses this storage sends what earlier pages have left in it; that is then the caller's, until the page ends. */
  claim(): Promise<void>;
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
    claim: async () => {},
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
  const run = async <T>(mode: IDBTransactionMode, act: (entries: IDBObjectStore) => IDBRequest<T>): Promise<T | undefined> => {
    const db = await opened;
    if (!db) return undefined;
    const transaction = db.transaction(table, mode);
    const request = act(transaction.objectStore(table));
    await finished(transaction);
    return request.result;
  };
  return {
    async list(prefix) {
      if (!(await opened)) return memory.list(prefix);
      const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
      const [keys, values] = await Promise.all([
        run("readonly", (entries) => entries.getAllKeys(range)),
        run("readonly", (entries) => entries.getAll(range) as IDBRequest<unknown[]>),
      ]);
      const found = new Map((keys ?? []).map((key, i) => [String(key), values?.[i]]));
      return [...found];
    },
    async put(key, value) {
      if (!(await opened)) return memory.put(key, value);
      await run("readwrite", (entries) => entries.put(value, key));
    },
    async delete(key) {
      if (!(await opened)) return memory.delete(key);
      await run("readwrite", (entries) => entries.delete(key));
    },
    claim: () =>
      new Promise((resolve) => {
        if (globalThis.navigator?.locks === undefined) return resolve();
        // Held until the page ends: the function never returns.
        void navigator.locks.request(database, () => new Promise<never>(() => resolve())).catch(() => resolve());
      }),
  };
}

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
