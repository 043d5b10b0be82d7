import type { HttpResponse } from 'uWebSockets.js'
import { end, writeHeaders } from './responses.ts'
import { type RequestHead, requestOrigin } from '../../../intake/http/request-head.ts'
import { type Origins, preflightBody, preflightHeaders, readable } from '../../../intake/http/origins.ts'
import type { ProblemCode } from '../../../intake/parse/problems.ts'

/**
 * Returns why the request whose head was read last is refused because of the page that it comes from. If it
 * is not refused, its answer, whatever it will be, has the headers that let the page read it.
 */
export function refusedPage(
  origins: Origins,
  request: RequestHead,
  response: HttpResponse,
): ProblemCode | null {
  const origin = requestOrigin()
  if (origin === null) return null
  const refused = origins.refusal(origin, request.getHeader('host'))
  if (refused !== null) return refused
  const writeStatus = response.writeStatus
  response.writeStatus = status => {
    writeStatus.call(response, status)
    return writeHeaders(response, readable(origin))
  }
  return null
}

/** Answers what a browser asks before it sends a request. */
export function answerPreflight(response: HttpResponse, isLast: boolean): void {
  // Browsers used to stumble over 204 here.
  response.cork(() => {
    writeHeaders(response.writeStatus('200 OK'), preflightHeaders)
    end(response, preflightBody, isLast)
  })
}
