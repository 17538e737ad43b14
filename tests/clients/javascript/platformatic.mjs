// @platformatic/kafka as a test client: see tests/README.md for the command line all clients share. It insists on
// particular API versions (Produce 7-11, Fetch 12-17, Metadata 12), and consumes only in groups, so here it produces.
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { Producer, ProduceAcks, stringSerializers } from '@platformatic/kafka'

const [action, bootstrap, topic, codec, path] = process.argv.slice(2)
if (action !== 'produce') throw new Error('@platformatic/kafka consumes only in groups')
const producer = new Producer({
  clientId: 'platformatic', bootstrapBrokers: [bootstrap], serializers: stringSerializers,
  compression: codec, acks: ProduceAcks.ALL, idempotent: true
})
let messages = []
const flush = async () => {
  await producer.send({ messages })
  messages = []
}
for await (const line of createInterface({ input: createReadStream(path) })) {
  const comma = line.indexOf(',')
  messages.push({ topic, key: line.slice(0, comma), value: line.slice(comma + 1) })
  if (messages.length === 10_000) await flush()
}
if (messages.length > 0) await flush()
await producer.close()
