import type { Metrics } from '../../lib/process/metrics.ts'
import type { BodyMemory } from './http/request-body.ts'
import type { Connections } from './connections.ts'
import type { Flusher } from '../../intake/send/flusher.ts'
import type { HandoverRecovery } from '../../intake/handover/handover-recovery.ts'
import type { NativeMemory } from './native-memory.ts'
import type { Producer } from '../../intake/send/producer.ts'
import type { Server } from './server.ts'
import type { UnreadAnswers } from './write-buffers.ts'
import type { AckWaiters } from '../../intake/send/ack-waiters.ts'

interface Measured {
  readonly flusher: Flusher
  readonly producer: Producer
  readonly ackWaiters: AckWaiters
  readonly connections: Connections
  readonly recovery: HandoverRecovery
  readonly server: Server
  readonly bodyMemory: BodyMemory
  readonly memory: NativeMemory
  readonly unread: UnreadAnswers
}

export function publishMetrics(metrics: Metrics, measured: Measured): void {
  publishCounts(metrics, measured)
  publishMemory(metrics, measured)
}

function publishCounts(
  metrics: Metrics,
  { flusher, producer, ackWaiters, connections, recovery, server }: Measured,
): void {
  metrics.counterOf(
    'piccolo_increments_accepted_total',
    'Increments counted',
    () => flusher.incrementsAccepted,
  )
  metrics.gaugeOf('piccolo_keys_waiting', 'Distinct keys not yet in a batch', () => flusher.keyCount)
  metrics.gaugeOf(
    'piccolo_batches_unconfirmed',
    'Batches sealed and not yet in the store',
    () => producer.unconfirmed.length,
  )
  metrics.gaugeOf(
    'piccolo_increments_unconfirmed',
    'Increments in them',
    () => producer.unconfirmedIncrements,
  )
  metrics.gaugeOf(
    'piccolo_oldest_unconfirmed_seconds',
    'Age of the oldest increment that is not in the store',
    () => flusher.oldestAgeMs() / 1000,
  )
  metrics.gaugeOf(
    'piccolo_requests_waiting',
    'Requests that wait for queued or committed',
    () => ackWaiters.count,
  )
  metrics.gaugeOf(
    'piccolo_handovers_left',
    'Hand-over files that stay where they are until somebody acts',
    () => recovery.leftCount,
  )
  metrics.gaugeOf('piccolo_connections', 'Open HTTP connections', () => connections.count)
  metrics.gaugeOf('piccolo_listening', '1 while new connections are taken', () => Number(server.isListening))
  metrics.gaugeOf(
    'piccolo_unconfirmed_bytes',
    'Size of the batches sealed and not yet in the store',
    () => producer.unconfirmedBytes,
  )
}

function publishMemory(metrics: Metrics, { bodyMemory, memory, unread }: Measured): void {
  metrics.gaugeOf(
    'piccolo_unfinished_body_bytes',
    'What has come of bodies that are not complete',
    () => bodyMemory.bytes,
  )
  metrics.gaugeOf(
    'piccolo_unfinished_message_bytes',
    'What messages of streams that are not complete take, as measured',
    () => memory.bytes,
  )
  metrics.gaugeOf('piccolo_unread_bytes', 'Answers that clients do not read', () => unread.bytes)
}
