/** Kinds of columns, as Kysely sees them. */
import type { ColumnType } from 'kysely';

export type Instant = ColumnType<Date, Date, Date>;
export type MaybeInstant = ColumnType<Date | null, Date | null | undefined, Date | null>;
export type Bytes = Buffer;
export type ByDefault<T> = ColumnType<T, T | undefined, T>;
