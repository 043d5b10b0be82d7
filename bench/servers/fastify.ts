import fastify from 'fastify'
import { FormTotals, okBody } from './form-totals.ts'

/** The same intake on Fastify, without the promises. The arguments are its port and its database. */
const [port, path] = process.argv.slice(2)
const totals = new FormTotals(path!)
const app = fastify()

app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
  done(null, body),
)
app.post('/increment', (request, reply) => {
  reply
    .code(totals.tryCount(request.body) ? 200 : 400)
    .type('application/json')
    .send(okBody)
})
await app.listen({ host: '127.0.0.1', port: Number(port) })
