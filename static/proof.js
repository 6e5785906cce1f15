// A worker that solves one challenge of ALTCHA's proof of work: find the number n with SHA-256(salt + n) = challenge.
//
// It receives the challenge as the server sent it, and returns the solution in base64, or null if there is none. Each
// hash is a promise, so AT_ONCE hashes are computed at the same time.
"use strict";

const AT_ONCE = 256;

const solve = async ({ algorithm, challenge, maxnumber, salt, signature }) => {
  const encoder = new TextEncoder();
  const target = challenge.match(/../g).map((pair) => parseInt(pair, 16));
  const isTarget = (hash) => {
    const bytes = new Uint8Array(hash);
    return target.every((byte, at) => bytes[at] === byte);
  };
  for (let first = 0; first <= maxnumber; first += AT_ONCE) {
    const hashes = [];
    for (let n = first; n < first + AT_ONCE && n <= maxnumber; n += 1) {
      hashes.push(crypto.subtle.digest(algorithm, encoder.encode(salt + n)));
    }
    const found = (await Promise.all(hashes)).findIndex(isTarget);
    if (found >= 0) return btoa(JSON.stringify({ algorithm, challenge, number: first + found, salt, signature }));
  }
  return null;
};

onmessage = async ({ data }) => {
  postMessage(await solve(data));
};
