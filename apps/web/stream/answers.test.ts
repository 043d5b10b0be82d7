import { expect, test } from 'vitest'
import { countedText, problemText, UsualAnswer } from './answers.ts'

test('the answer that is counted on is the one that would be written anew', () => {
  const answer = new UsualAnswer()
  for (let message = 1; message <= 1_000_001; message++) {
    answer.count()
    if (message > 1_200 && message % 99_991 > 2 && message < 999_998) continue
    const counted = { message, messages: 1, accepted: 1 }
    const written = countedText(counted, { reached: 'memory', isComplete: true, isJoined: false })
    expect(Buffer.from(answer.bytes).toString()).toBe(written)
  }
})

test('an answer says of how many messages it speaks, and whether it came as far as was asked', () => {
  const form = { reached: 'queued', isComplete: false, isJoined: true } as const
  expect(JSON.parse(countedText({ message: 9, messages: 4, accepted: 12 }, form))).toEqual({
    message: 9,
    messages: 4,
    status: 202,
    accepted: 12,
    ack: 'queued',
  })
})

test('a refusal is the problem of HTTP and the number of the message', () => {
  expect(JSON.parse(problemText(7, 'waiting_full', []))).toMatchObject({
    message: 7,
    type: 'about:blank',
    status: 503,
    code: 'waiting_full',
  })
})
