import assert from 'node:assert/strict';
import { test } from 'node:test';

import { userIdOf } from '../static/js/ids.js';
import { excerpt, hash, initials, linkParts, mentionParts, mentionsIn } from '../static/js/text.js';
import { dayTitle, shortTime } from '../static/js/times.js';

const links = (text) => linkParts(text).flatMap(({ href }) => href ?? []);

test('only http and https become links', () => {
  assert.deepEqual(links('see https://a.example/x?y=1#z and http://b.example'), ['https://a.example/x?y=1#z', 'http://b.example']);
  for (const text of ['javascript:alert(1)', 'data:text/html,x', 'ftp://a.example', 'mailto:a@b.example', 'https://', 'www.a.example']) {
    assert.deepEqual(links(text), [], text);
  }
});

test('punctuation around a link is not part of it', () => {
  assert.deepEqual(links('(https://a.example/x).'), ['https://a.example/x']);
  assert.deepEqual(links('https://a.example/x_(y), https://b.example!'), ['https://a.example/x_(y)', 'https://b.example']);
  assert.deepEqual(links('"https://a.example" <https://b.example>'), ['https://a.example', 'https://b.example']);
});

test('no character of a text is lost or added', () => {
  for (const text of ['', 'plain', 'a https://x.example, b', 'https://x.example', '\n https://x.example/) \n<b>']) {
    assert.equal(linkParts(text).map((part) => part.text).join(''), text);
  }
});

test('an @ and the id of a member is a mention, whatever stands after it', () => {
  const members = new Set(['bob', 'dr.who', 'a@b.example']);
  assert.deepEqual(mentionsIn('@bob: (@dr.who) and @a@b.example, @bob!', members), ['bob', 'dr.who', 'a@b.example']);
  assert.deepEqual(mentionsIn('@dr.who. @bob...', members), ['dr.who', 'bob']);
  assert.deepEqual(mentionsIn('x@bob https://x.example/@bob @bobby @carol @ bob', members), []);
  assert.deepEqual(mentionsIn('@bob', null), []);
  assert.deepEqual(mentionParts('hi @bob.', members), [{ text: 'hi ' }, { text: '@bob', user: 'bob' }, { text: '.' }]);
});

test('an excerpt is one line and cuts no character in two', () => {
  assert.equal(excerpt('  a\n\nb  '), 'a b');
  assert.equal(excerpt('😀'.repeat(10), 4), '😀😀😀…');
  assert.equal(excerpt('abcd', 4), 'abcd');
});

test('names give initials, and always the same colour', () => {
  assert.deepEqual(['Alice', 'bob miller', 'carol.x', '', '😀 x'].map(initials), ['A', 'BM', 'CX', '?', '😀X']);
  assert.equal(hash('alice', 8), hash('alice', 8));
});

test('a name becomes a user id that the protocol allows', () => {
  assert.deepEqual(['Alice', ' José  María ', 'a/b', '李', 'X'.repeat(300)].map((name) => userIdOf(name).slice(0, 20)), [
    'alice',
    'jose.maria',
    'ab',
    '',
    'x'.repeat(20),
  ]);
  assert.equal(userIdOf('X'.repeat(300)).length, 128);
});

test('days have names', () => {
  const now = new Date(2026, 4, 20, 9, 0);
  assert.equal(dayTitle(new Date(2026, 4, 20, 0, 1), now), 'Today');
  assert.equal(dayTitle(new Date(2026, 4, 19, 23, 59), now), 'Yesterday');
  assert.match(dayTitle(new Date(2026, 4, 1), now), /1/);
  assert.match(dayTitle(new Date(2024, 4, 1), now), /2024/);
  assert.doesNotMatch(shortTime(new Date(2026, 4, 1), now), /:/);
});
