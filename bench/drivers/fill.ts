import { sleep, systemClock } from '../../lib/clock.ts'

/** `PORT KEYS`: increments each of so many keys once, as fast as they are taken, and prints how many. */
const [port, keyCount] = process.argv.slice(2).map(Number) as [number, number]
const linesMax = 5_000
const retryMs = 50

for (let start = 1; start <= keyCount; start += linesMax) {
  const count = Math.min(linesMax, keyCount - start + 1)
  const lines = Array.from({ length: count }, (_, index) => `{"key":"test${start + index}","value":1}`)
  await post(lines.join('\n'))
}
console.log(keyCount)

/** Refused while too many keys wait: then nothing of it was counted, and the same again is right. */
async function post(body: string): Promise<void> {
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}/increment`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-ndjson' },
      body,
    })
    const answer = await response.text()
    if (response.ok) return
    if (response.status !== 503) throw new Error(answer)
    await sleep(systemClock, retryMs)
  }
}
