// kafkajs as a test client: see tests/README.md for the command line all clients share. It speaks only old,
// non-flexible versions, and consumes only in groups, so here it produces.
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import kafkajs from 'kafkajs'
import snappy from 'kafkajs-snappy'
import lz4 from 'lz4-napi'
import zstd from '@mongodb-js/zstd'

const { Kafka, CompressionTypes, CompressionCodecs, Partitioners, logLevel } = kafkajs
CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: encoder => lz4.compressFrame(encoder.buffer),
  decompress: buffer => lz4.decompressFrame(buffer)
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: encoder => zstd.compress(encoder.buffer),
  decompress: buffer => zstd.decompress(buffer)
})
const codecs = {
  none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD
}

const [action, bootstrap, topic, codec, path] = process.argv.slice(2)
if (action !== 'produce') throw new Error('kafkajs consumes only in groups')
const kafka = new Kafka({ clientId: 'kafkajs', brokers: [bootstrap], logLevel: logLevel.ERROR })
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, idempotent: true, maxInFlightRequests: 1 })
await producer.connect()
let messages = []
const flush = async () => {
  await producer.send({ topic, acks: -1, compression: codecs[codec], messages })
  messages = []
}
for await (const line of createInterface({ input: createReadStream(path) })) {
  const comma = line.indexOf(',')
  messages.push({ key: line.slice(0, comma), value: line.slice(comma + 1) })
  if (messages.length === 10_000) await flush()
}
if (messages.length > 0) await flush()
await producer.disconnect()
