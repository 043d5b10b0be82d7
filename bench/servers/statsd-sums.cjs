/** A backend of StatsD: at each flush the sum of all counters that a driver has incremented, on one line. */
exports.init = (_startedS, _config, events) => {
  events.on('flush', (_timestamp, { counters }) => {
    let sum = 0
    for (const name in counters) if (name.startsWith('test')) sum += counters[name]
    if (sum > 0) console.log(`FLUSHED ${sum}`)
  })
  return true
}
