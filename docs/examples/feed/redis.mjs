// Consumes a queue of the feed in Redis: REDIS_URL=redis://... node redis.mjs QUEUE
//
// What was read and not acknowledged is read again first, under the same name of a consumer: each entry comes at least once, and those of a room in the order of
// their seqs, as long as the queue has one consumer. Remember per room the highest seq that you have dealt with: what is not above it is a repeat.
import Redis from 'ioredis';

const redis = new Redis(process.env.REDIS_URL);
const queue = process.argv[2];

for (let from = '0'; ;) {
  const answer = await redis.xreadgroup('GROUP', queue, 'worker-1', 'COUNT', 16, 'BLOCK', 1000, 'STREAMS', `parley:feed:${queue}`, from);
  const entries = answer?.[0][1] ?? [];
  for (const [id, fields] of entries) {
    const entry = {};
    for (let i = 0; i < (fields ?? []).length; i += 2) entry[fields[i]] = fields[i + 1];
    if (fields) console.log(entry.room, entry.seq, entry.event); // your work; entry.data is the event as JSON
    await redis.xack(`parley:feed:${queue}`, queue, id);
  }
  if (entries.length === 0) from = '>'; // nothing is left of before: from now on what is new
}
