/** Returns the body of `GET /` for a process on that port. */
export function usage(port: number): string {
  return `Piccolo Daimao counts.

  POST /increment   key=foo&value=5                 application/x-www-form-urlencoded
                    {"key":"foo","value":5}         application/json: one, several, or an array
                    one such object a line          application/x-ndjson, or any of the above
                    ?ack=queued or ?ack=committed   answered when the queue, or the database, has it
                    Idempotency-Key: "…"            counted once, however often it is sent
  GET  /stream      the same over a WebSocket: each message is one object a line, and has an answer
  GET  /healthz     this process is alive
  GET  /readyz      it can keep its promises now
  GET  /metrics     in the format of Prometheus

  A key is 1 to 512 bytes of UTF-8 without control characters, a value an integer from -(2^53-1) to 2^53-1.
  A request is counted whole or, with a 4xx or 5xx status, not at all.

  curl -d 'key=foo&value=5' localhost:${port}/increment
`
}
