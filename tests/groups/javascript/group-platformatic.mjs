// A member of a consumer group on @platformatic/kafka: see tests/README.md for what a worker does. It tells of a rebalance
// when it is already under way, so it cannot commit before it gives partitions up.
import { Consumer, stringDeserializers } from '@platformatic/kafka'
import { listed, listedOffsets, obey, options, say, settled } from './group-worker.mjs'

let owned = new Set()
const printed = new Map() // topic/partition: the offset after the last record printed

function drop () {
  if (owned.size > 0) say('revoked', listed(owned))
  owned.clear()
  printed.clear()
}

const consumer = new Consumer({
  clientId: 'platformatic', bootstrapBrokers: [options.bootstrap], groupId: options.consumerGroup,
  deserializers: stringDeserializers, autocommit: false, maxWaitTime: 100, minBytes: 1, retries: 30, retryDelay: 100,
  ...(options.instance ? { groupInstanceId: options.instance } : {}),
  ...(options.protocol === 'consumer'
    ? { groupProtocol: 'consumer', ...(options.assignor ? { groupRemoteAssignor: options.assignor } : {}) }
    : { sessionTimeout: options.sessionMs, rebalanceTimeout: 20_000, heartbeatInterval: options.sessionMs / 12 })
})
consumer.on('consumer:group:rebalance', drop)
consumer.on('consumer:group:join', ({ generationId, assignments }) => {
  drop()
  owned = new Set(assignments.flatMap(({ topic, partitions }) => partitions.map(number => `${topic}/${number}`)))
  say('assigned', generationId ?? '-', listed(owned))
})
consumer.on('error', error => say('error', JSON.stringify(error.message)))

obey(async () => {
  const offsets = [...printed]
  if (offsets.length > 0) {
    await consumer.commit({
      offsets: offsets.map(([name, offset]) => {
        const [topic, partition] = name.split('/')
        return { topic, partition: Number(partition), offset, leaderEpoch: -1 }
      })
    })
  }
  say('committed', listedOffsets(offsets))
}, () => consumer.close(true))

const stream = await consumer.consume({ topics: options.topics, mode: 'committed', fallbackMode: 'earliest' })
for await (const { topic, partition, offset, value } of stream) {
  await settled()
  const name = `${topic}/${partition}`
  if (owned.has(name)) printed.set(name, offset + 1n)
  say('record', topic, partition, offset, value)
}
