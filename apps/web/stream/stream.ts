import type { WebSocket } from 'uWebSockets.js'
import type { Timer } from '../../../lib/clock.ts'
import type { Flusher } from '../../../intake/send/flusher.ts'
import type { Intake, IntakeResult } from '../../../intake/count/intake.ts'
import { refusal, type Refusal } from '../../../intake/parse/problems.ts'
import { countedText, type MessagesCounted, problemText, UsualAnswer } from './answers.ts'
import { type UnreadAnswers, UnreadOfStream } from '../write-buffers.ts'
import type { StreamMode } from './handshake.ts'
import { AckGroup } from './ack-group.ts'
import type { EventLoopTurn, TurnEnd } from '../event-loop-turn.ts'
import type { Ack, AckWaiters } from '../../../intake/send/ack-waiters.ts'

/** Why the server closes a stream (RFC 6455, 7.4.1, and IANA's registry). */
export const closeCodes = { goingAway: 1001, internalError: 1011, tryAgainLater: 1013 } as const

/** Result of `send` for a message that uWebSockets.js sent at once, or keeps to send it with others. */
const sendStatusSent = 1

export interface StreamSurroundings {
  readonly intake: Intake
  readonly flusher: Flusher
  readonly ackWaiters: AckWaiters
  readonly unread: UnreadAnswers
  readonly turn: EventLoopTurn
  readonly bodyBytesMax: number
  /** Messages and requests that may wait for more than `memory` at a time. */
  readonly waitingMax: number
}

/**
 * One WebSocket: messages come in, and each has its answer, with its number. An answer that promises no more
 * than `memory` goes out before the next message is looked at; the others as soon as they are true.
 *
 * When the server closes a stream, each message that was counted has its answer before the close frame: what
 * has none was not counted.
 */
export class Stream implements TurnEnd {
  readonly #socket: WebSocket<unknown>
  readonly #ack: Ack
  /** Messages in a row that were counted in the same turn have one answer. */
  readonly #isJoined: boolean
  readonly #surroundings: StreamSurroundings
  readonly #usualAnswer = new UsualAnswer()
  /** Counted in this turn and not answered yet; none, unless answers are joined. */
  readonly #joined: MessagesCounted = { message: 0, messages: 0, accepted: 0 }
  #messageCount = 0
  /** Messages that wait for more than `memory`, by the turn of the event loop in which they came. */
  readonly #waits = new Set<AckGroup>()
  /** The one of this turn; null while there is none. */
  #waitOfTurn: AckGroup | null = null
  readonly #unread: UnreadOfStream
  #isDraining = false
  /** Why it is closed as soon as its client has read all answers; null while it stays open. */
  #leaving: { readonly code: number; readonly reason: string; readonly late: Timer } | null = null
  /** It was closed in a way that keeps nothing for its client. */
  #isCut = false
  #isClosed = false

  constructor(socket: WebSocket<unknown>, mode: StreamMode, surroundings: StreamSurroundings) {
    this.#socket = socket
    this.#ack = mode.ack
    this.#isJoined = mode.isJoined
    this.#surroundings = surroundings
    this.#unread = new UnreadOfStream(surroundings.unread, socket)
  }

  /** It has brought a whole message. */
  get hasBroughtMessages(): boolean {
    return this.#messageCount > 0
  }

  get isLeaving(): boolean {
    return this.#leaving !== null
  }

  /** Messages are waiting for their answers. */
  get isUnderWay(): boolean {
    return this.#waits.size > 0
  }

  /** Takes the next message; `bytes` are valid only during the call. */
  receive(message: ArrayBuffer): void {
    if (!this.#isDraining && (!this.#unread.isThere || this.#hasRoom())) this.#take(message)
  }

  #take(message: ArrayBuffer): void {
    this.#messageCount++
    this.#usualAnswer.count()
    const outcome = this.#count(message)
    if (outcome.code !== null) this.#refuse(outcome)
    else if (this.#ack !== 'memory' && outcome.accepted > 0) this.#await(this.#ack, outcome.accepted)
    else if (this.#ack === 'memory' && this.#isJoined) this.#join(outcome.accepted)
    else if (outcome.accepted === 1) this.#send(this.#usualAnswer.bytes)
    else this.#answer({ message: this.#messageCount, messages: 1, accepted: outcome.accepted }, this.#ack)
  }

  /** A ping, which is answered already, or a pong. */
  controlled(): void {
    this.#hasRoom()
  }

  endTurn(): void {
    this.#waitOfTurn = null
    if (!this.#isClosed) this.#answerJoined()
  }

  /** The client has taken some of what lay here. */
  drained(): void {
    this.#unread.look()
    if (this.#leaving && !this.#unread.isThere) this.close(this.#leaving.code, this.#leaving.reason)
  }

  /** Counts nothing any more, and closes as soon as every message has its answer. */
  startDraining(): void {
    this.#isDraining = true
    if (!this.isUnderWay) this.close(closeCodes.goingAway, 'the server is stopping')
  }

  /** Answers whatever still waits with how far it has come for certain. */
  giveUp(): void {
    for (const wait of this.#waits) wait.giveUp()
  }

  close(code: number, reason: string): void {
    if (this.#isClosed) return
    this.#answerJoined()
    this.#socket.end(code, reason)
  }

  /** Closes it at once; its client gets no answer that still waits here. */
  cut(): void {
    if (this.#isClosed) return
    this.#isCut = true
    this.#socket.close()
  }

  /** The connection is closed, whoever closed it. What was counted stays counted; nobody hears of it. */
  closed(): void {
    this.#isClosed = true
    for (const wait of this.#waits) wait.cancel()
    this.#waits.clear()
    this.#leaving?.late.cancel()
    this.#unread.closed(this.#isCut)
  }

  /**
   * Answers what waits, counts nothing any more, and closes as soon as the client has read it all: one cannot
   * see how long the answers of a closed stream stay in memory.
   */
  #leave(code: number, reason: string): void {
    if (this.#isClosed || this.#leaving !== null) return
    this.giveUp()
    this.#answerJoined()
    this.#unread.look()
    this.#isDraining = true
    this.#leaving = { code, reason, late: this.#surroundings.unread.later(() => this.cut()) }
    if (!this.#unread.isThere) this.close(code, reason)
  }

  #count(message: ArrayBuffer): IntakeResult {
    const { intake, ackWaiters, waitingMax, bodyBytesMax } = this.#surroundings
    if (message.byteLength > bodyBytesMax) return refusal('body_too_large')
    if (this.#ack !== 'memory' && ackWaiters.count >= waitingMax) return refusal('waiting_full')
    return intake.countMessage(new Uint8Array(message))
  }

  #join(accepted: number): void {
    const joined = this.#joined
    if (joined.messages === 0) this.#surroundings.turn.atEnd(this)
    joined.message = this.#messageCount
    joined.messages++
    joined.accepted += accepted
  }

  #answerJoined(): void {
    const joined = this.#joined
    if (joined.messages > 0) this.#answer(joined, 'memory')
    joined.messages = joined.accepted = 0
  }

  #await(ack: 'queued' | 'committed', accepted: number): void {
    const { flusher, ackWaiters } = this.#surroundings
    const { cohort } = flusher
    let wait = this.#waitOfTurn
    if (wait?.cohort !== cohort) {
      wait = new AckGroup(ack, { cohort, ackWaiters, isJoined: this.#isJoined })
      this.#begin(wait)
    }
    wait.add(this.#messageCount, accepted)
  }

  /** All messages of one turn are answered in one go. */
  #begin(wait: AckGroup): void {
    this.#waits.add(wait)
    this.#waitOfTurn = wait
    this.#surroundings.turn.atEnd(this)
    wait.begin(this.#surroundings.flusher, reached => {
      this.#waits.delete(wait)
      if (this.#waitOfTurn === wait) this.#waitOfTurn = null
      this.#socket.cork(() => {
        for (const counted of wait.answers) this.#answer(counted, reached)
        if (this.#isDraining) this.startDraining()
      })
    })
  }

  #answer(counted: MessagesCounted, reached: Ack): void {
    const isComplete = reached === this.#ack || reached === 'committed'
    this.#send(countedText(counted, { reached, isComplete, isJoined: this.#isJoined }))
  }

  #refuse({ code, errors }: Refusal): void {
    this.#answerJoined()
    this.#surroundings.intake.refused(code)
    this.#send(problemText(this.#messageCount, code, errors))
  }

  #send(answer: Uint8Array | string): void {
    if (this.#socket.send(answer) !== sendStatusSent) this.#unread.look()
  }

  /** Reports whether one more answer may pile up. If not, it closes the stream: reading cannot be stopped. */
  #hasRoom(): boolean {
    this.#unread.look()
    const verdict = this.#unread.verdict()
    if (verdict === 'close') this.#leave(closeCodes.tryAgainLater, 'read the answers while you send')
    if (verdict === 'cut') this.cut()
    return verdict === 'fine'
  }
}
