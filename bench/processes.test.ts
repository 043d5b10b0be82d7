import { createSocket } from 'node:dgram'
import { expect, test } from 'vitest'
import { createServer } from 'node:net'
import { cpuMsOf, freePort, isReadingDatagrams, listenersAt, outputOf, Server } from './processes.ts'

const shell = (script: string) => ({ program: 'sh', args: ['-c', script], cores: null })

test('the CPU time of a server has that of its children in it, ended or not', async () => {
  const burn = 'const end = Date.now() + 300; while (Date.now() < end);'
  let said = ''
  const script = `"${process.execPath}" -e '${burn}'; echo burnt; while :; do sleep 0.1; done`
  const server = new Server(shell(script), text => {
    said += text
  })
  try {
    await server.ready(async () => said.includes('burnt'))
    // A machine under load may give it less than it asks for, but hardly so little.
    expect(cpuMsOf([server.pid])).toBeGreaterThanOrEqual(50)
  } finally {
    await server.stop()
  }
})

test('a server that ends at its start says what it said', async () => {
  const server = new Server(shell('echo the port is taken >&2; exit 1'))
  await expect(server.ready(async () => false)).rejects.toThrow('the port is taken')
})

test('a program that fails has no output', async () => {
  await expect(outputOf(shell('echo half; echo broken >&2; exit 3'))).rejects.toThrow('ended with 3: broken')
})

test('a port of datagrams is seen as long as it is open', async () => {
  const port = await freePort()
  expect(isReadingDatagrams(port)).toBe(false)
  const socket = createSocket('udp4')
  await new Promise<void>(resolve => socket.bind(port, '127.0.0.1', resolve))
  expect(isReadingDatagrams(port)).toBe(true)
  await new Promise<void>(resolve => socket.close(resolve))
  expect(isReadingDatagrams(port)).toBe(false)
})

test('a port of connections has as many listeners as listen there', async () => {
  const port = await freePort()
  expect(listenersAt(port)).toBe(0)
  const server = createServer()
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  expect(listenersAt(port)).toBe(1)
  await new Promise<unknown>(resolve => server.close(resolve))
  expect(listenersAt(port)).toBe(0)
})
