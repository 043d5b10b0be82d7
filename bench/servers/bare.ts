import { App, type HttpRequest, type HttpResponse } from 'uWebSockets.js'

/**
 * The limit: a handler that reads the body, looks at nothing, and answers. With `calls` it makes every
 * call of uWebSockets.js that our contract asks for, and nothing more: a visit to all headers (only that
 * shows one that stands there twice), a look at the query and at the body, and an answer with a type. The
 * arguments are its port, a database that it does not have, its address, and `calls`.
 */
const [, , port, , host = '127.0.0.1', kind] = process.argv

/** Something to do with what was read, so that no call is optimised away. */
let _seen = 0

function bare(response: HttpResponse): void {
  response.onAborted(() => {})
  response.onData((_chunk, isLast) => {
    if (isLast) response.end('ok')
  })
}

function withCalls(response: HttpResponse, request: HttpRequest): void {
  response.onAborted(() => {})
  request.forEach(name => {
    _seen += name.length
  })
  _seen += request.getQuery()?.length ?? 0
  response.onData((chunk, isLast) => {
    if (!isLast) return
    _seen += new Uint8Array(chunk)[0]!
    response.writeHeader('Content-Type', 'application/json')
    response.end('{"accepted":1,"ack":"memory"}')
  })
}

App()
  .post('/*', kind === 'calls' ? withCalls : bare)
  .listen(host, Number(port), socket => {
    if (!socket) throw new Error('the port is taken')
  })
