/** docs/openapi.json is what the schemas say now. */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openApiDocument, openApiText } from '../src/api/openapi.ts';
import { API_ERROR_CODES, API_ERRORS, CALL_NAMES, CALLS } from '../src/smimp/api.ts';

type Operation = { operationId: string; responses: Record<string, object> };
type Document = {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: { Problem: { properties: { code: { enum: string[] } } } } };
  'x-error-codes': Record<string, number>;
};

describe('the OpenAPI document', () => {
  it('is the committed one', async () => {
    expect(await readFile(new URL('../docs/openapi.json', import.meta.url), 'utf8')).toBe(openApiText());
  });

  it('has one operation for each call that is served', () => {
    const { paths } = openApiDocument() as unknown as Document;
    const ids = Object.values(paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
    expect(ids.sort()).toEqual([...CALL_NAMES].sort());
  });

  it('lists the closed error codes, and for each call every status it may answer', () => {
    const document = openApiDocument() as unknown as Document;
    expect(document['x-error-codes']).toEqual(API_ERRORS);
    expect(document.components.schemas.Problem.properties.code.enum).toEqual(API_ERROR_CODES);
    const send = document.paths[`/0.1/${CALLS.send_message.path}`]?.post;
    expect(Object.keys(send?.responses ?? {})).toEqual(
      expect.arrayContaining(['200', '401', '403', '404', '409', '413', '422', '429', '502', '504', '507']),
    );
  });
});
