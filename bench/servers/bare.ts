import { App } from 'uWebSockets.js'

/**
 * The limit: a handler that reads the body, looks at nothing, and answers. The arguments are its port, a
 * database that it does not have, and its address.
 */
App()
  .post('/*', response => {
    response.onAborted(() => {})
    response.onData((_chunk, isLast) => {
      if (isLast) response.end('ok')
    })
  })
  .listen(process.argv[4] ?? '127.0.0.1', Number(process.argv[2]), socket => {
    if (!socket) throw new Error('the port is taken')
  })
