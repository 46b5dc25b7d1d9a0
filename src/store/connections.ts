/** What a connection to PostgreSQL does besides what `pg` has it do. */
import pg from 'pg';

/** More statements than this are not remembered; each takes memory in every connection. */
const MAX_STATEMENTS = 500;
/** A table was changed under a prepared statement, as when a newer version of the program brings the schema up to date. */
const RESULT_TYPE_CHANGED = '0A000';

const names = new Map<string, string>();
let named = 0;

function nameOf(text: string): string | null {
  const known = names.get(text);
  if (known !== undefined || names.size >= MAX_STATEMENTS) return known ?? null;
  named += 1;
  const name = `s${named}`;
  names.set(text, name);
  return name;
}

type Run = (text: string, values: unknown[]) => Promise<pg.QueryResult>;

/**
 * A connection that may be lost while somebody works with it. The pool listens to idle ones only, and an error that nobody
 * listens to ends the process; whoever works with it learns of the loss by the failure of the query.
 */
export class SteadyClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
  }
}

/**
 * Prepares every statement once, so that PostgreSQL parses and plans it once and not each time. The texts come from our own
 * queries, so there are some hundred; what goes beyond (lists of changing length) is sent as it is. Only what Kysely sends
 * is prepared: a text with its values, answered by a promise.
 */
export class PreparingClient extends SteadyClient {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    const send = super.query.bind(this) as (...query: unknown[]) => unknown;
    const run: Run = async (text, values) => {
      const name = nameOf(text);
      try {
        return (await send(name === null ? { text, values } : { name, text, values })) as pg.QueryResult;
      } catch (error) {
        // Under another name it is prepared anew; the transaction at hand is lost and tried again by whoever began it.
        if (error instanceof pg.DatabaseError && error.code === RESULT_TYPE_CHANGED) names.delete(text);
        throw error;
      }
    };
    const query = (...args: unknown[]): unknown => {
      const [text, values] = args;
      const isOrdinary = args.length === 2 && typeof text === 'string' && Array.isArray(values) && values.length > 0;
      return isOrdinary ? run(text, values) : send(...args);
    };
    this.query = query as typeof this.query;
  }
}
