import { textOption } from './options.ts'

/** The option of every program that has to do with the database, or with files beside it. */
export const databaseOptions = {
  database: textOption({
    fallback: 'data/numbers.db',
    placeholder: 'PATH',
    help: 'SQLite file that holds the totals',
  }),
}
