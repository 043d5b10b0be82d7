import { writeSync } from 'node:fs'
import { errorText, OperationError } from '../../lib/errors.ts'
import { commitAll } from './commit.ts'

/** `node run.ts DATABASE COUNT`: see `commitAll`. Exits with 70 when it needs a fresh process. */
const [path, count] = [process.argv[2]!, Number(process.argv[3])]
try {
  await commitAll(path, count, sequence => writeSync(1, `committed ${sequence}\n`))
} catch (error) {
  if (!(error instanceof OperationError)) throw error
  writeSync(1, `${error.code}: ${errorText(error)}\n`)
  process.exit(70)
}
