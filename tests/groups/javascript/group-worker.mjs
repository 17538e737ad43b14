// What both JavaScript workers share: the command line, the commands on standard input, the lines on standard output.
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'

const [, bootstrap, consumerGroup, topics, ...rest] = process.argv.slice(2)
export const options = { bootstrap, consumerGroup, topics: topics.split(','), protocol: 'classic', sessionMs: 6000 }
for (let i = 0; i < rest.length; i += 2) {
  if (rest[i] === '--session-ms') options.sessionMs = Number(rest[i + 1])
  else options[rest[i].slice(2)] = rest[i + 1]
}

// One event, with the moment in microseconds before it. The pipe may be full for a moment: it is then tried again.
export function say (...words) {
  const line = Buffer.from(`${Math.round((performance.timeOrigin + performance.now()) * 1000)} ${words.join(' ')}\n`)
  for (let at = 0; at < line.length;) {
    try {
      at += writeSync(1, line, at)
    } catch (error) {
      if (error.code !== 'EAGAIN') process.exit(1)
    }
  }
}

export const listed = partitions => [...partitions].sort().join(',') || '-'
export const listedOffsets = offsets => [...offsets].map(([partition, offset]) => `${partition}@${offset}`).sort().join(',') || '-'

// What is printed stays still while it is being committed: records wait for `still`, commands come one by one.
let still = Promise.resolve()
export async function settled () {
  for (let seen; seen !== still;) {
    seen = still
    await seen
  }
}

// Standard input's end is the end of the worker: whoever started it is gone.
export function obey (commit, leave) {
  const lines = createInterface({ input: process.stdin })
  lines.on('close', () => process.exit(1))
  lines.on('line', line => {
    const command = line.trim()
    if (command === 'commit' || command === 'leave') still = still.then(commit).catch(refused)
    if (command !== 'leave') return
    still.then(leave).then(() => {
      say('left')
      process.exit(0)
    }).catch(error => {
      say('error', JSON.stringify(error.message))
      process.exit(1)
    })
  })
}

const refused = error => say('refused', JSON.stringify(error.message))
