/**
 * Bad days in the schedules of the whole service, besides what always may happen: each word is a kind of bad
 * day. `npm run simulate -- --service --with WORD` adds one that is not held yet to all that are.
 */
export const words = {
  'empty-request': 'a request with an idempotency key increments nothing',
  'keys-full': 'the store has room for a few idempotency keys, and for more once faults have stopped',
  'stop-after-forgetting': 'the queue forgets everything, and at that moment a web process is told to stop',
  'handover-twice': 'a hand-over file is copied, and the copy comes back after the file was delivered',
  'handover-slow': 'a hand-over file is copied to where it is looked for, in pieces, from nothing on',
  'handover-cut-off': 'the copy of a hand-over file stops in the middle and is never finished',
  'handover-late': 'a hand-over file comes after its missing batches were given up',
  'silent-too-long':
    'a web process stands still while its missing batches are given up, and goes on with them',
  'file-errors': 'EMFILE, EACCES, EIO and ENOSPC for whoever looks after hand-over files',
  'push-times-out': 'the answer to every push is lost, for as long as the service runs',
  'endless-turn':
    'a client keeps one turn of the event loop going for as long as it can, and then the process is killed',
  'last-batches':
    'the last batches of a dead producer vanish from the queue, and nobody is left to send more',
  'late-request':
    'a keyed request arrives when its idempotency key is forgotten, and another copy was counted',
  'store-restored': 'a store is put back from a backup beside a hand-over file that is newer',
  'store-copied': 'a copy of the store gets a consumer of its own',
} as const

export type Word = keyof typeof words

export interface NotYetHeld {
  /** The broken promise, as the verdict says it. */
  readonly broken: RegExp
  readonly reason: string
}

/**
 * Bad days that today break a promise. A test demands that each still does: whoever fixes one takes it out of
 * this list, and every schedule has it from then on.
 */
export const notYetHeld: { readonly [W in Word]?: NotYetHeld } = {
  'last-batches': {
    broken: /in silence/,
    reason:
      'the store hears what a producer sealed from its next batch: batch format 3 says which is the last',
  },
  'late-request': {
    broken: /counted twice|2 times/,
    reason:
      'a keyed request does not say when it was accepted: batch format 3 does, and the store refuses late ones',
  },
  'store-restored': {
    broken: /parked for ever|never delivered|left in the queue|lacks/,
    reason: 'a queue of the embedded kind forgets what was confirmed: fencing makes producers tell it again',
  },
  'store-copied': {
    broken: /lacks|is missing|nowhere|in the store/,
    reason: 'both stores have the same id: fencing binds the queue to one run of one consumer',
  },
}

export const allWords = Object.keys(words) as Word[]
export const heldWords: readonly Word[] = allWords.filter(word => !(word in notYetHeld))
