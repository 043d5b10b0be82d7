import type { EmbeddedQueue } from '../../queue/embedded/embedded-queue.ts'
import { queueError } from '../../queue/errors.ts'
import type {
  ConsumerQueue,
  Position,
  ProducerQueue,
  Publication,
  Push,
  ReadBounds,
} from '../../queue/queue.ts'
import type { Random } from '../kit/random.ts'
import type { Shard } from './shard.ts'
import type { Life, SimulatedTime } from './time.ts'

/** Time after which a call is given up, as by the queue on Redis. */
const callDeadlineMs = 2_000
const ghostDelayMsMax = 20_000
const latencyMsMax = 30

const fates = [
  'the request is lost',
  'the answer is lost',
  'it is given up, and carried out later',
  'it is carried out twice',
  'the queue refuses it',
  'its caller dies before',
  'its caller dies behind it',
] as const
type Fate = (typeof fates)[number]

export interface FaultyQueueParts {
  readonly name: string
  readonly shard: Shard
  readonly time: SimulatedTime
  readonly life: Life
  readonly random: Random
  readonly note: (event: string) => void
  /** The probability that a call fails: 1 while the network is down, 0 once faults have stopped. */
  readonly faultProbability: () => number
  /** Hears of every push that is tried. */
  readonly onPush?: (push: Push) => void
  /** Every push takes effect, and its caller hears nothing. */
  readonly losesPushAnswers?: boolean
  /** Kills the process that has this connection. */
  readonly crash: () => void
}

/** The connection of one process to the queue, over a network where everything goes wrong at times. */
export class FaultyQueue implements ProducerQueue, ConsumerQueue {
  readonly durable = true
  readonly #parts: FaultyQueueParts
  #harmCountHeard = 0

  constructor(parts: FaultyQueueParts) {
    this.#parts = parts
  }

  /** How often the queue had forgotten something when it last did what its caller heard of. */
  get harmCountHeard(): number {
    return this.#harmCountHeard
  }

  connect(): Promise<void> {
    return this.#call('connect', async () => {})
  }

  push(push: Push): Promise<Position> {
    this.#parts.onPush?.(push)
    const lost = this.#parts.losesPushAnswers ? 'the answer is lost' : null
    return this.#call(`push ${push.sequence}`, queue => this.#push(queue, push), lost)
  }

  heartbeat(...args: Parameters<EmbeddedQueue['heartbeat']>): Promise<Position> {
    return this.#call('heartbeat', queue => queue.heartbeat(...args))
  }

  bind(storeId: string): Promise<string> {
    return this.#call('bind', queue => queue.bind(storeId))
  }

  storeId(): Promise<string | null> {
    return this.#call('store id', queue => queue.storeId())
  }

  announceWindow(span: string): Promise<void> {
    return this.#call('announce', queue => queue.announceWindow(span))
  }

  idempotencyWindow(): Promise<string | null> {
    return this.#call('window', queue => queue.idempotencyWindow())
  }

  read(bounds?: ReadBounds): Promise<string[]> {
    return this.#call('read', queue => queue.read(bounds))
  }

  publish(publication: Publication): Promise<void> {
    return this.#call('publish', queue => queue.publish(publication))
  }

  watermarks(): Promise<Map<string, number>> {
    return this.#call('watermarks', queue => queue.watermarks())
  }

  heartbeats(producers: readonly string[]): Promise<Map<string, string>> {
    return this.#call('heartbeats', queue => queue.heartbeats(producers))
  }

  forget(silentMs: number): Promise<number> {
    return this.#call('forget', queue => queue.forget(silentMs))
  }

  length(): Promise<number> {
    return this.#call('length', queue => queue.length())
  }

  onPushed(listener: () => void): () => void {
    return this.#parts.shard.on('pushed', () => this.#hint(listener))
  }

  onApplied(listener: () => void): () => void {
    return this.#parts.shard.on('applied', () => this.#hint(listener))
  }

  async close(): Promise<void> {}

  #hint(listener: () => void): void {
    const { random, time, life } = this.#parts
    if (random.chance(0.8)) time.after(random.below(latencyMsMax), () => life.run(listener))
  }

  async #push(queue: EmbeddedQueue, push: Push): Promise<Position> {
    const position = await queue.push(push)
    if (position.pushed >= push.sequence) this.#parts.shard.took(push)
    return position
  }

  #call<T>(name: string, work: (queue: EmbeddedQueue) => Promise<T>, always: Fate | null = null): Promise<T> {
    const { random, faultProbability, note, name: process } = this.#parts
    const probability = faultProbability()
    const fate = probability === 1 ? fates[0] : random.chance(probability) ? random.pick(fates) : always
    if (fate !== null) note(`${process} ${name}: ${fate}`)
    return new Promise((resolve, reject) => {
      const answer = (settle: () => void) => this.#later(random.below(latencyMsMax), settle)
      const { shard } = this.#parts
      const carryOut = () => shard.execute(work)
      const carryOutAndAnswer = () => {
        const { harmCount } = shard
        const hear = (result: T) => {
          this.#harmCountHeard = harmCount
          resolve(result)
        }
        carryOut().then(
          result => answer(() => hear(result)),
          error => answer(() => reject(error)),
        )
      }
      this.#deliver(fate, carryOut, carryOutAndAnswer)
      if (fate === 'the queue refuses it')
        answer(() => reject(queueError(random.pick(['queue_full', 'queue_loading']), 'refused')))
      this.#later(callDeadlineMs, () => reject(queueError('queue_timeout', 'no answer')))
    })
  }

  /** Makes happen at the queue what its caller may never hear of. */
  #deliver(fate: Fate | null, carryOut: () => Promise<unknown>, carryOutAndAnswer: () => void): void {
    const { time, random, crash } = this.#parts
    const arrivalMs = random.below(latencyMsMax)
    const onArrival = (work: () => void) => void time.after(arrivalMs, work)
    if (fate === null) onArrival(carryOutAndAnswer)
    else if (fate === 'the answer is lost') onArrival(carryOut)
    else if (fate === 'it is given up, and carried out later')
      time.after(callDeadlineMs + random.below(ghostDelayMsMax), carryOut)
    else if (fate === 'it is carried out twice') {
      onArrival(carryOutAndAnswer)
      time.after(arrivalMs + random.below(ghostDelayMsMax), carryOut)
    } else if (fate === 'its caller dies before') time.after(0, crash)
    else if (fate === 'its caller dies behind it') onArrival(() => void carryOut().then(crash))
  }

  #later(delayMs: number, settle: () => void): void {
    const { time, life } = this.#parts
    time.after(delayMs, () => life.run(settle))
  }
}
