// Solves one challenge of ALTCHA's proof of work in a worker: the number n with SHA-256(salt + n) = challenge.
//
// Asked with the challenge as it came; answers with the solution in base64, or with null when there is none. Some hundred
// hashes are under way at a time, since each is a promise of its own.
"use strict";

const AT_ONCE = 256;

const solve = async ({ algorithm, challenge, maxnumber, salt, signature }) => {
  const encoder = new TextEncoder();
  const wanted = challenge.match(/../g).map((pair) => parseInt(pair, 16));
  const isIt = (hash) => {
    const bytes = new Uint8Array(hash);
    return wanted.every((byte, at) => bytes[at] === byte);
  };
  for (let first = 0; first <= maxnumber; first += AT_ONCE) {
    const tried = [];
    for (let n = first; n < first + AT_ONCE && n <= maxnumber; n += 1) {
      tried.push(crypto.subtle.digest(algorithm, encoder.encode(salt + n)));
    }
    const found = (await Promise.all(tried)).findIndex(isIt);
    if (found >= 0) return btoa(JSON.stringify({ algorithm, challenge, number: first + found, salt, signature }));
  }
  return null;
};

onmessage = async ({ data }) => {
  postMessage(await solve(data));
};
