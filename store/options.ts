import { textOption } from '../lib/options.ts'

export const storeOptions = {
  database: textOption({
    fallback: 'data/numbers.db',
    placeholder: 'PATH',
    help: 'SQLite file that holds the totals',
  }),
}
