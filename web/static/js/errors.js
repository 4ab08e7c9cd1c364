// Errors in words, for people.

const MINUTE_MS = 60_000;

/** What went wrong with a call, as a sentence. The server's own words are for developers, but better than none. */
export function words(error) {
  switch (error.code) {
    case 'disconnected':
      return 'There is no connection right now. Try again in a moment.';
    case 'rate_limited':
      return `That was too fast. Try again ${inTime(error.retryAfter)}.`;
    case 'unavailable':
      return 'The server is busy. Try again in a moment.';
    case 'internal':
      return 'Something went wrong on the server. Try again in a moment.';
    case 'too_large':
      return 'That is too long. Make it shorter.';
    case undefined:
      return 'Something went wrong in this page. Reload it and try again.';
    default:
      return error.message;
  }
}

function inTime(ms = 0) {
  if (ms >= MINUTE_MS) return `in ${Math.ceil(ms / MINUTE_MS)} min`;
  return ms > 1000 ? `in ${Math.ceil(ms / 1000)} seconds` : 'in a moment';
}

/** Why the connection ended for good: a sentence, and what the button to go on is called. */
export function stopped({ code, reason }) {
  switch (code) {
    case 4401:
      return { text: 'Your sign-in has run out.', action: 'Sign in again' };
    case 4403:
      return { text: 'You have been signed out of this device.', action: 'Sign in again' };
    case 4409:
      return { text: 'This conversation list is open in another tab.', action: 'Use it here' };
    default:
      return { text: `The server and this page do not understand each other${reason ? `: ${reason}` : ''}.`, action: 'Reload' };
  }
}
