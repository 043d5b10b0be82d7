import { errorText, OperationError } from '../../lib/errors.ts'
import { queueError, type QueueErrorCode } from '../errors.ts'

/** Texts of Redis for a missing right: of 7.2, of older ones inside a script, and of all of them outside. */
export const forbiddenPattern = /\bNOPERM\b|ACL failure in script|The user executing the script can't/

/** First words of Redis' error replies, and the codes that they mean. */
const replyCodes: readonly (readonly [RegExp, QueueErrorCode])[] = [
  [/\bOOM\b/, 'queue_full'],
  [/\bREADONLY\b/, 'queue_read_only'],
  [/\b(LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)\b/, 'queue_loading'],
  [/\b(NOAUTH|WRONGPASS)\b/, 'queue_credentials'],
  [forbiddenPattern, 'queue_forbidden'],
  [/\bFOREIGN\b/, 'queue_foreign'],
  [/\bALTERED\b/, 'queue_altered'],
]

/** The OperationError of whatever a call to Redis rejected with. */
export function classifyRedisError(error: unknown): OperationError {
  if (error instanceof OperationError) return error
  const message = errorText(error)
  const known = replyCodes.find(([pattern]) => pattern.test(message))
  if (known) return queueError(known[1], message, error)
  if (error instanceof Error && error.name === 'ReplyError')
    return queueError('queue_refused', message, error)
  return queueError('queue_unreachable', message || 'the connection to Redis failed', error)
}
