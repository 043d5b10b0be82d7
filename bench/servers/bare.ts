import { App } from 'uWebSockets.js'

/** The limit: a handler that reads the body, looks at nothing, and answers. The argument is its port. */
App()
  .post('/*', response => {
    response.onAborted(() => {})
    response.onData((_chunk, isLast) => {
      if (isLast) response.end('ok')
    })
  })
  .listen('127.0.0.1', Number(process.argv[2]), socket => {
    if (!socket) throw new Error('the port is taken')
  })
