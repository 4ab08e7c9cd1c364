// What a page does that embeds Parley: it says who its user is, and which room belongs to it. A page of yours asks its own back end for both; here the
// development server, which signs a token for anyone who asks, takes that part.

const visitors = ['Heron', 'Gannet', 'Curlew', 'Plover', 'Tern', 'Osprey', 'Dunlin', 'Petrel'];

/** The visitor of this tab. */
const visitor = (sessionStorage.visitor ??= `${visitors[Math.floor(Math.random() * visitors.length)]} ${Math.floor(10 + Math.random() * 90)}`);

async function post(path, body, token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : { 'Content-Type': 'application/json' };
  const response = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error?.message ?? `${path}: ${response.status}`);
  return answer;
}

/** A token for somebody, by name. */
async function tokenOf(name) {
  const { token } = await post('/dev/token', { user: name.toLowerCase().replace(/\s+/g, '.'), name });
  return token;
}

/** The room of a page: the same each time, since the client_id is. */
async function roomOf(page) {
  const what = {
    article: { kind: 'channel', name: 'The last ferry', topic: 'Talk about the article' },
    video: { kind: 'live', name: 'The harbour', topic: 'Live from the pier', settings: { sample_per_s: 10 } },
  }[page];
  const { room } = await post('/v1/room.create', { ...what, client_id: `demo-${page}` }, await tokenOf('The Tideline'));
  return room.id;
}

for (const element of document.querySelectorAll('parley-chat, parley-live')) {
  const room = await roomOf(element.dataset.demo);
  if (element.localName === 'parley-chat') await post('/v1/room.join', { room }, await tokenOf(visitor));
  element.setAttribute('room', room);
  element.token = () => tokenOf(visitor); // asked anew whenever one is needed
}

// A crowd, to see what becomes of live comments in one.
const said = [
  'There it goes!', 'Is that the late boat?', 'The light on the water 😍', 'Greetings from the other side', '👏', 'How cold is it out there?', 'Who leaves a bicycle on a ferry?',
  'I have taken this crossing every day for ten years and have never once seen it leave on time, and I would not have it otherwise', '🔥', 'Look left, by the buoy', 'Good evening everyone', '❤️',
];
const crowd = document.getElementById('crowd');
let running;
crowd?.addEventListener('click', async () => {
  const on = crowd.getAttribute('aria-pressed') === 'false';
  crowd.setAttribute('aria-pressed', String(on));
  crowd.textContent = on ? 'Send the crowd home' : 'Let a crowd in';
  clearInterval(running);
  if (!on) return;
  const room = document.querySelector('parley-live').getAttribute('room');
  const tokens = await Promise.all(visitors.map((name) => tokenOf(`${name} of the crowd`)));
  let n = 0;
  running = setInterval(() => {
    const client_id = crypto.randomUUID();
    post('/v1/message.send', { room, client_id, text: said[Math.floor(Math.random() * said.length)] }, tokens[n++ % tokens.length]).catch(() => {}); // who is too fast is told so
  }, 60);
});
