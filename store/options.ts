import { textOption } from '../lib/config/options.ts'

export const storeOptions = {
  database: textOption({
    fallback: 'data/numbers.db',
    placeholder: 'PATH',
    help: 'SQLite file that holds the totals',
  }),
}
