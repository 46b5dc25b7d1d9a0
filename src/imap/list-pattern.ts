/** Patterns of LIST and LSUB: `*` is anything, `%` anything within one level (RFC 3501 §6.3.8). */

/** Linear in the pattern for every name: wildcards are matched greedily with one point to come back to. */
export function listPattern(pattern: string): (path: string) => boolean {
  const wanted = pattern
    .replace(/^inbox(?=$|\/)/i, 'INBOX')
    .replace(/[*%]*\*[*%]*/g, '*')
    .replace(/%+/g, '%');
  return (path) => matches(wanted, path);
}

function matches(pattern: string, path: string): boolean {
  // reachable[i]: the pattern so far can end at character i of the path.
  let reachable = new Uint8Array(path.length + 1);
  reachable[0] = 1;
  for (const sign of pattern) {
    const next = new Uint8Array(path.length + 1);
    let open = false;
    for (let at = 0; at <= path.length; at += 1) {
      if (sign === '*' || sign === '%') {
        if (sign === '%' && at > 0 && path[at - 1] === '/') open = false;
        open ||= reachable[at] === 1;
        next[at] = open ? 1 : 0;
      } else if (at > 0 && reachable[at - 1] === 1 && path[at - 1] === sign) next[at] = 1;
    }
    reachable = next;
  }
  return reachable[path.length] === 1;
}
