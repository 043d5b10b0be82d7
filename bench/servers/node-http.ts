import { createServer } from 'node:http'
import { FormTotals, okBody } from './form-totals.ts'

/** The same intake on node:http, without the promises. The arguments are its port and its database. */
const [port, path] = process.argv.slice(2)
const totals = new FormTotals(path!)

createServer((request, response) => {
  let body = ''
  request.setEncoding('utf8')
  request.on('data', chunk => {
    body += chunk
  })
  request.on('end', () => {
    response.statusCode = totals.tryCount(body) ? 200 : 400
    response.setHeader('Content-Type', 'application/json')
    response.end(okBody)
  })
}).listen(Number(port), '127.0.0.1')
