/** Many clients at one mailbox at once, with every letter accounted for. `npm run stress` does it for longer, and kills. */
import { expect, it } from 'vitest';
import { stress } from './stress/run.ts';
import { mailSite, PASSWORD } from './support/mail-site.ts';

it('loses no letter, doubles none, uses no UID twice, and tells each session all of it', async () => {
  await using site = await mailSite();
  const server = { port: () => site.ports.imaps, ca: site.ca, user: 'bob@corp.test', password: PASSWORD };
  const result = await stress({ server, clients: 6, seed: 20_260_301, steps: 15, goesOn: (rounds) => rounds < 2 });
  expect(result.mistakes).toEqual([]);
  expect(result.letters).toBeGreaterThan(20);
});
