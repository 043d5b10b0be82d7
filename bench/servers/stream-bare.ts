import { App, type WebSocket } from 'uWebSockets.js'

/**
 * The limit: a server that looks at no message and answers each with what `/stream` answers, or all that came
 * in a turn with one answer. Arguments: port and `single` or `joined`.
 */
interface Counts {
  message: number
  answered: number
}

const waiting = new Set<WebSocket<Counts>>()
const isJoined = process.argv[3] === 'joined'

App()
  .ws<Counts>('/stream', {
    maxBackpressure: 0,
    upgrade: (response, request, context) => {
      const key = request.getHeader('sec-websocket-key')
      response.upgrade<Counts>({ message: 0, answered: 0 }, key, '', '', context)
    },
    message: socket => {
      const counts = socket.getUserData()
      counts.message++
      if (!isJoined) socket.send(`{"message":${counts.message},"accepted":1,"ack":"memory"}`)
      else if (waiting.size === 0) setImmediate(answerAll)
      if (isJoined) waiting.add(socket)
    },
    close: socket => {
      waiting.delete(socket)
    },
  })
  .listen('127.0.0.1', Number(process.argv[2]), socket => {
    console.log(socket ? 'ready' : 'no port')
  })

function answerAll(): void {
  for (const socket of waiting) {
    const counts = socket.getUserData()
    const messages = counts.message - counts.answered
    socket.send(`{"message":${counts.message},"messages":${messages},"accepted":${messages},"ack":"memory"}`)
    counts.answered = counts.message
  }
  waiting.clear()
}
