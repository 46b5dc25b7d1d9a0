/**
 * The OpenAPI 3.1 document of the API (SMIMP 0.1 §5), made from the table of calls and its schemas and from nothing else,
 * so that it cannot say what the server does not check. It lists the closed error codes, for each call and as a whole.
 */
import { z } from 'zod';
import {
  API_ERRORS,
  API_PREFIX,
  type ApiErrorCode,
  CALL_NAMES,
  CALLS,
  type CallDefinition,
  type CallName,
  callErrors,
  PROBLEM_MEDIA_TYPE,
  problemSchema,
  SESSION_HEADER,
} from '../smimp/api.ts';

type JsonSchema = Record<string, unknown>;

const PROBLEM_REFERENCE = { $ref: '#/components/schemas/Problem' };
/** Calls whose answer an ETag names, and calls that must name it back. */
const GIVES_ETAG: ReadonlySet<CallName> = new Set(['get_history', 'get_ephemeral_keys']);
const TAKES_IF_MATCH: ReadonlySet<CallName> = new Set(['post_ephemeral_keys', 'message_extensions']);
const TAKES_IF_NONE_MATCH: ReadonlySet<CallName> = new Set(['get_history']);

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}

function parameters(schema: z.ZodType | undefined, place: 'path' | 'query'): JsonSchema[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = jsonSchema(schema, 'input') as {
    properties?: Record<string, JsonSchema>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, of]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: of,
  }));
}

function headerParameters(name: CallName): JsonSchema[] {
  const schema = { type: 'string' };
  const taken: JsonSchema[] = [];
  if (TAKES_IF_MATCH.has(name)) taken.push({ name: 'If-Match', in: 'header', required: true, schema });
  if (TAKES_IF_NONE_MATCH.has(name)) taken.push({ name: 'If-None-Match', in: 'header', required: false, schema });
  return taken;
}

function successAnswer(name: CallName, { response }: CallDefinition): JsonSchema {
  const isEmpty = response instanceof z.ZodUndefined;
  const etag = { ETag: { schema: { type: 'string' } } };
  return {
    description: isEmpty ? 'Done; no body.' : 'The answer.',
    ...(GIVES_ETAG.has(name) ? { headers: etag } : {}),
    ...(isEmpty ? {} : { content: { 'application/json': { schema: jsonSchema(response, 'output') } } }),
  };
}

/** One answer per status; codes that share it stand together. */
function errorAnswers(codes: readonly ApiErrorCode[]): Record<string, JsonSchema> {
  const byStatus = Object.groupBy(codes, (code) => String(API_ERRORS[code]));
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, list = []]) => [
      status,
      {
        description: list.join(', '),
        ...(status === '429' ? { headers: { 'Retry-After': { schema: { type: 'integer', minimum: 0 } } } } : {}),
        content: { [PROBLEM_MEDIA_TYPE]: { schema: PROBLEM_REFERENCE } },
      },
    ]),
  );
}

function operation(name: CallName): JsonSchema {
  const definition: CallDefinition = CALLS[name];
  const { auth, params, query, request, status } = definition;
  const needsSession = auth === 'session' || auth === 'home';
  const body = request && {
    required: true,
    content: { 'application/json': { schema: jsonSchema(request, 'input') } },
  };
  return {
    operationId: name,
    parameters: [...parameters(params, 'path'), ...parameters(query, 'query'), ...headerParameters(name)],
    ...(body === undefined ? {} : { requestBody: body }),
    ...(needsSession ? { security: [{ session: [] }] } : {}),
    responses: {
      [status]: successAnswer(name, definition),
      ...(TAKES_IF_NONE_MATCH.has(name) ? { 304: { description: 'Not modified.' } } : {}),
      ...errorAnswers(callErrors(name)),
    },
  };
}

function paths(): Record<string, JsonSchema> {
  const all: Record<string, JsonSchema> = {};
  for (const name of CALL_NAMES) {
    const { method, path } = CALLS[name];
    const full = `${name === 'version' ? '/' : API_PREFIX}${path}`;
    all[full] = { ...all[full], [method.toLowerCase()]: operation(name) };
  }
  return all;
}

/** The whole document, as an object; the same every time. */
export function openApiDocument(): JsonSchema {
  return {
    openapi: '3.1.0',
    info: {
      title: 'SMIMP home server',
      version: '0.1',
      description:
        'Paths are below the base URL that https://{domain}/.well-known/smimp.txt names. What the calls mean, and the order of their checks, is in protocol.md beside this document.',
    },
    paths: paths(),
    components: {
      schemas: { Problem: jsonSchema(problemSchema, 'output') },
      securitySchemes: { session: { type: 'apiKey', in: 'header', name: SESSION_HEADER } },
    },
    'x-error-codes': API_ERRORS,
  };
}

/** The text of docs/openapi.json. */
export function openApiText(): string {
  return `${JSON.stringify(openApiDocument(), null, 2)}\n`;
}
