const always = /^PICCOLO(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?|ENV_\w+)$/
const byValue = [
  [/_PORT$/, /^(tcp|udp|sctp):\/\//],
  [/_NAME$/, /^\//],
] as const

/**
 * Reports whether Kubernetes or Docker derived the variable from the name of a Service or of a linked
 * container, such as `piccolo` or `piccolo-redis`. Nobody chose such a variable: it is no option, even where
 * an option has that name. An address as the value of a variable for a port can be nothing else.
 */
export function isDerivedVariable(name: string, value: string): boolean {
  return always.test(name) || byValue.some(([names, values]) => names.test(name) && values.test(value))
}
