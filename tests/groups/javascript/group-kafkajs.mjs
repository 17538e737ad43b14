// A member of a consumer group on kafkajs: see tests/README.md for what a worker does. It has one assignor, round robin,
// and tells of a rebalance when it is already under way, so it cannot commit before it gives partitions up.
import kafkajs from 'kafkajs'
import { listed, listedOffsets, obey, options, say, settled } from './group-worker.mjs'

let owned = new Set()
const printed = new Map() // topic/partition: the offset after the last record printed

// Only its log tells the generation together with the assignment.
const logCreator = () => ({ log: { message, memberAssignment, generationId, ...more } }) => {
  if (message !== 'Received assignment') return
  drop()
  owned = new Set(Object.entries(memberAssignment).flatMap(([topic, numbers]) => numbers.map(number => `${topic}/${number}`)))
  say('assigned', generationId, listed(owned))
}
function drop () {
  if (owned.size > 0) say('revoked', listed(owned))
  owned.clear()
  printed.clear()
}

const kafka = new kafkajs.Kafka({
  brokers: [options.bootstrap], logLevel: kafkajs.logLevel.DEBUG, logCreator,
  retry: { initialRetryTime: 50, maxRetryTime: 1000, retries: 30 }
})
const consumer = kafka.consumer({
  groupId: options.consumerGroup, sessionTimeout: options.sessionMs, heartbeatInterval: options.sessionMs / 12,
  rebalanceTimeout: 20_000, maxWaitTimeInMs: 100
})
consumer.on(consumer.events.REBALANCING, drop)
consumer.on(consumer.events.CRASH, ({ payload }) => say('error', JSON.stringify(payload.error.message)))
await consumer.connect()
await consumer.subscribe({ topics: options.topics, fromBeginning: true })
await consumer.run({
  autoCommit: false,
  eachMessage: async ({ topic, partition, message }) => {
    await settled()
    const name = `${topic}/${partition}`
    if (owned.has(name)) printed.set(name, BigInt(message.offset) + 1n)
    say('record', topic, partition, message.offset, message.value)
  }
})

obey(async () => {
  const offsets = [...printed]
  if (offsets.length > 0) {
    await consumer.commitOffsets(offsets.map(([name, offset]) => {
      const [topic, partition] = name.split('/')
      return { topic, partition: Number(partition), offset: String(offset) }
    }))
  }
  say('committed', listedOffsets(offsets))
}, () => consumer.disconnect())
